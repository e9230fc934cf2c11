"""`moegate up`: prepares the experts, starts them on Ray, runs the gateway on the same machine, and stops everything.

The experts are a separate process (`experts.app`, the only one that uses Ray). It is controlled by its command line
and reports in JSON lines. The gateway runs in this process. Whatever happens, nothing is left running.
"""

import asyncio
import contextlib
import os
import secrets
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson
from rich.console import Console

from experts.catalog.encoders import ENCODER_APPLICATION, default_collections
from experts.catalog.secret import VARIABLE
from experts.catalog.spec import load_catalog
from serve.access.exposure import check_exposure
from serve.access.keys import asks_for_keys, load_keys
from serve.app import run
from serve.routing.kinds import load_router
from serve.settings.tree import Settings
from serve.workers import ports
from serve.workers.signals import stop_on_signals
from serve.workers.sockets import Listening

_STOP_EXPERTS_S: Final = 12.0  # `experts.app` ends itself, and all that it started, in less


class ExpertsFailed(Exception):
    """The experts could not be prepared or started, or ended by themselves; the message says what to look at."""


@dataclass(frozen=True, slots=True)
class UpOptions:
    """What `moegate up` was asked for, beyond the settings."""

    engine: str | None = None  # every expert's engine, in place of the catalogue's


async def up(settings: Settings, options: UpOptions, console: Console) -> None:
    """Run experts and gateway until SIGINT or SIGTERM.

    Raises:
        ExpertsFailed: see there.
        OSError: a port is taken.
        SettingsError: the settings want what does not exist.
        ArtifactError: the router's artefact cannot be used.
    """
    stop = stop_on_signals()
    check_exposure(settings, has_keys=asks_for_keys(settings.access, load_keys(settings.access)))
    load_router(
        settings.router, load_catalog(settings.experts.catalog)
    )  # a router that cannot serve and a port that is taken are told now, not in a
    ports.check(settings)  # minute, when the experts run
    secret = settings.experts.secret or secrets.token_urlsafe(32)
    experts = _Experts(settings, options.engine, secret, console)
    try:
        if await experts.start(stop):
            await _serve(settings, experts, stop, console)
    finally:
        console.print("stopping")
        await experts.stop()


async def _serve(settings: Settings, experts: "_Experts", stop: asyncio.Event, console: Console) -> None:
    """Run the gateway in front of running experts, until asked to stop or they end."""
    reached = settings.experts.model_copy(update={"target": experts.target, "secret": experts.secret})
    here = settings.model_copy(update={"experts": reached})
    watch = asyncio.create_task(experts.wait(stop))
    try:
        await run(here, stop, lambda app: _announce(app, console))
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
    experts.check()


class _Experts:
    """The experts' process."""

    def __init__(self, settings: Settings, engine: str | None, secret: str, console: Console) -> None:
        catalog = settings.experts.catalog
        self.target = ""
        self.secret = secret
        self._engine = engine
        self._console = console
        self._catalog = ["--catalog", str(catalog)] if catalog else []
        self._encoder = ["--encoder", settings.encoder.base] if settings.encoder.enabled else []
        if settings.encoder.enabled and settings.retrieval.enabled:
            self._encoder += ["--collections", settings.retrieval.store or default_collections()]
        self._names = load_catalog(catalog).names
        self._state = Path(tempfile.mkdtemp(prefix="moegate-"))
        self._log = self._state / "experts.log"
        self._process: asyncio.subprocess.Process | None = None
        self._ended_by_itself = False

    async def start(self, stop: asyncio.Event) -> bool:
        """Prepare and start; False if `stop` came first.

        Raises:
            ExpertsFailed: see there.
        """
        starting = asyncio.create_task(self._start())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if starting.done():
            starting.result()
            return True
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        return False

    async def wait(self, stop: asyncio.Event) -> None:
        """Set `stop` when the experts end by themselves."""
        assert self._process is not None  # started
        await self._process.wait()
        self._ended_by_itself = True
        stop.set()

    def check(self) -> None:
        """Complain if they ended by themselves.

        Raises:
            ExpertsFailed: they did.
        """
        if self._ended_by_itself:
            raise ExpertsFailed(f"the experts' process ended; its log is {self._log}")

    async def stop(self) -> None:
        """End the process, which ends what it started; keep its log only if it failed."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), _STOP_EXPERTS_S)
        if not self._ended_by_itself:
            shutil.rmtree(self._state, ignore_errors=True)

    async def _start(self) -> None:
        if self._engine != "echo":
            await self._prepare()
        engine = ["--engine", self._engine] if self._engine else []
        with self._log.open("wb") as log_file:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "experts.app", *self._catalog, *engine, *self._encoder),
                stdin=asyncio.subprocess.PIPE,  # its end tells the child that we are gone
                stdout=asyncio.subprocess.PIPE,
                stderr=log_file,
                env=os.environ | {VARIABLE: self.secret},  # other users can read a command line, not this
                start_new_session=True,  # Ctrl-C is for us; we tell the child
            )
        with self._console.status("starting Ray"):
            await self._follow(self._process)

    async def _prepare(self) -> None:
        """Have the artefacts made; the compiler shows its own progress."""
        command = (sys.executable, "-m", "experts.compile", "--all", "--target", "cpu", *self._catalog)
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.DEVNULL, start_new_session=True
        )
        if await process.wait() != 0:
            raise ExpertsFailed("the experts could not be prepared")
        self._console.print(f"experts are prepared: {', '.join(self._names)}", soft_wrap=True)

    async def _follow(self, process: asyncio.subprocess.Process) -> None:
        """Show what the child reports until it is ready."""
        assert process.stdout is not None  # a pipe
        async for line in process.stdout:
            event: dict[str, Any] = orjson.loads(line)
            match event["event"]:
                case "ray":
                    self._console.print(f"Ray is up, its ingress 127.0.0.1:{event['port']}", soft_wrap=True)
                case "expert" if event["state"] == "ready":
                    self._tell_ready(event["expert"], event["seconds"])
                case "ready":
                    self.target = event["target"]
                    return
                case "failed":
                    self._ended_by_itself = True
                    raise ExpertsFailed(f"{event['message']}; the log is {self._log}")
        self._ended_by_itself = True
        raise ExpertsFailed(f"the experts' process ended while starting; its log is {self._log}")

    def _tell_ready(self, name: str, seconds: float) -> None:
        who = "the encoder" if name == ENCODER_APPLICATION else f"expert [bold]{name}[/]"
        self._console.print(f"{who} is ready ({seconds:.1f} s)")


def _announce(app: Listening, console: Console) -> None:
    """Say that all is ready, on one line for people and scripts alike."""
    line = f"moegate ready: HTTP http://{app.http_address}, gRPC {app.grpc_address}"
    console.print(line, style="bold green", soft_wrap=True, highlight=False)
