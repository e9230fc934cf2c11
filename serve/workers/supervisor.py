"""Several gateway processes that share both ports: started together, replaced when one dies, stopped together.

`serve.app.run` calls `run_workers` if `workers` is above 1. Each worker (`serve.commands.worker`) is a whole gateway
with its own event loop; the kernel spreads connections over them (SO_REUSEPORT). Limits of a gateway are divided among
them. The supervisor keeps each worker's standard input open. When it closes, the worker drains and ends, so that no
worker outlives the supervisor.
"""

import asyncio
import contextlib
import logging
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import orjson
from prometheus_client import CollectorRegistry

from serve.access.exposure import check_exposure
from serve.access.keys import asks_for_keys, load_keys
from serve.limits.accounts import warn_of_forgetting
from serve.settings.tree import Settings
from serve.telemetry.metrics.page import snapshot
from serve.telemetry.metrics.registrar import Registrar
from serve.telemetry.metrics.workers import WorkerMetrics
from serve.workers.shared_metrics import keep
from serve.workers.sockets import Addresses, Listening, address, reserve

log = logging.getLogger("moegate.workers")

_READY: Final = b"ready\n"
_STOP_S: Final = 5.0  # beyond the grace; then a worker is killed
_PAUSES_S: Final = (0.1, 0.5, 2.0, 5.0)  # before the 1st, 2nd, 3rd and every later replacement of a short-lived worker
_LIVED_S: Final = 30.0  # a worker that lived so long has nothing wrong at its start


class WorkersFailed(Exception):
    """A worker could not be started; its log on standard error says why."""


async def run_workers(settings: Settings, stop: asyncio.Event, on_ready: Callable[[Listening], None]) -> None:
    """Run `settings.workers` gateways until `stop` is set.

    Raises:
        OSError: a port is taken.
        SettingsError: the keys cannot be used, or their absence is not meant.
        WorkersFailed: see there.
    """
    keys = load_keys(settings.access)
    check_exposure(settings, has_keys=asks_for_keys(settings.access, keys))
    warn_of_forgetting(settings.access, keys)
    with (
        reserve(settings.http.host, settings.http.port) as http,
        reserve(settings.grpc.host, settings.grpc.port) as grpc,
        tempfile.TemporaryDirectory(prefix="moegate-workers-") as folder,
    ):
        ports = (http.getsockname()[1], grpc.getsockname()[1])
        supervisor = _Supervisor(_share(settings, *ports), Path(folder))
        try:
            await supervisor.start()
            on_ready(Addresses(address(settings.http.host, ports[0]), address(settings.grpc.host, ports[1])))
            await stop.wait()
        finally:
            await supervisor.stop()


class _Supervisor:
    """Keeps the workers alive."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings = settings
        self._folder = folder
        self._registry = CollectorRegistry()
        self._metrics = WorkerMetrics(Registrar(self._registry))
        self._watches: list[asyncio.Task[None]] = []
        self._show()

    async def start(self) -> None:
        """Start all and wait until each is ready.

        Raises:
            WorkersFailed: one is not.
        """
        spawned = await asyncio.gather(*(self._spawn() for _ in range(self._settings.workers)), return_exceptions=True)
        for worker in spawned:
            if not isinstance(worker, BaseException):
                self._watches.append(asyncio.create_task(self._watch(worker)))
        for failure in spawned:
            if isinstance(failure, BaseException):
                raise failure

    async def stop(self) -> None:
        """Stop all at once; kill what does not end within the grace."""
        for watch in self._watches:
            watch.cancel()
        await asyncio.gather(*self._watches, return_exceptions=True)

    async def _watch(self, worker: asyncio.subprocess.Process) -> None:
        """Replace a worker whenever it ends; end it when cancelled."""
        short_lives = 0
        try:
            while True:
                began = time.monotonic()
                status = await worker.wait()
                short_lives = short_lives + 1 if time.monotonic() - began < _LIVED_S else 0
                log.error("worker ended", extra={"worker_pid": worker.pid, "status": status})
                (self._folder / f"{worker.pid}.sock").unlink(missing_ok=True)
                self._metrics.restarts.inc()
                self._show()
                worker = await self._replace(short_lives)
        finally:
            await self._end(worker)

    async def _replace(self, short_lives: int) -> asyncio.subprocess.Process:
        while True:
            await asyncio.sleep(_PAUSES_S[min(short_lives, len(_PAUSES_S)) - 1] if short_lives else 0)
            try:
                worker = await self._spawn()
            except WorkersFailed:
                short_lives += 1
            else:
                log.info("worker replaced", extra={"worker_pid": worker.pid})
                return worker

    async def _spawn(self) -> asyncio.subprocess.Process:
        worker = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "serve.commands.worker", str(self._folder)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for us; we tell the workers
        )
        assert worker.stdin is not None  # both are pipes
        assert worker.stdout is not None
        try:
            worker.stdin.write(self._settings.model_dump_json().encode() + b"\n")
            with contextlib.suppress(ConnectionError):
                await worker.stdin.drain()
            if await worker.stdout.readline() != _READY:
                raise WorkersFailed("a gateway worker could not be started; its log says why")
        except BaseException:
            await self._end(worker)
            raise
        return worker

    async def _end(self, worker: asyncio.subprocess.Process) -> None:
        if worker.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            worker.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(self._settings.shutdown_grace_s + _STOP_S):
                await worker.wait()
        except TimeoutError:
            worker.kill()
            await worker.wait()

    def _show(self) -> None:
        keep(self._folder / "supervisor.json", snapshot(self._registry))


def _share(settings: Settings, http_port: int, grpc_port: int) -> Settings:
    """One worker's settings: the ports that were reserved, its part of what is bounded."""
    n, admission = settings.workers, settings.admission
    part = {
        "max_in_flight": -(-admission.max_in_flight // n),
        "max_queue_len": -(-admission.max_queue_len // n),
    }
    return settings.model_copy(
        update={
            "http": settings.http.model_copy(update={"port": http_port}),
            "grpc": settings.grpc.model_copy(update={"port": grpc_port}),
            "admission": admission.model_copy(update=part),
        }
    )


def read_settings(line: bytes) -> Settings:
    """A worker's settings, as its supervisor wrote them: a whole tree, so neither file nor environment adds to it."""
    return Settings(**orjson.loads(line))
