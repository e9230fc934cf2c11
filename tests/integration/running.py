"""Real processes as the tests start them: a whole moegate, or the experts alone; and how to see what is left of them.

Whatever a test starts carries a mark in its environment, which every descendant inherits: so nothing of ours can hide,
and nothing that is not ours is ever touched.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import yaml

from experts.catalog.secret import METADATA_KEY, VARIABLE
from protos.expert_pb2_grpc import ExpertStub
from tests.integration.sockets import with_descendants

ROOT = Path(__file__).resolve().parents[2]
START_S = 180.0
STOP_S = 60.0  # ends a hang alone: it takes 4 s on an idle machine

_ENTRY: dict[str, Any] = {
    "description": "plays its part",
    "base": "no/weights",
    "engine": "echo",
    "context_window": 100_000,
    "max_batch_size": 64,
    "max_queue_len": 8,
    "licence": "MIT",
    "price": {"usd_per_million": {"prompt": 1.0, "completion": 2.0}},
    "resources": {"num_cpus": 0.1},
}


def write_catalog(folder: Path, experts: dict[str, dict[str, Any]]) -> Path:
    """Write a catalogue of echo experts, but for what each entry says; the last one is the default."""
    entries = [_ENTRY | {"name": name} | fields for name, fields in experts.items()]
    path = folder / "experts.yaml"
    path.write_text(yaml.safe_dump({"experts": entries, "default": entries[-1]["name"]}))
    return path


@dataclass
class Running:
    """A process of ours and, by its mark, everything it started."""

    arguments: list[str]
    folder: Path
    mark: str = field(default_factory=lambda: f"moegate-test-{uuid.uuid4()}")

    def __post_init__(self) -> None:
        self.log = self.folder / "stderr.log"
        with self.log.open("w") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *self.arguments],
                cwd=ROOT,
                env=os.environ | {"MOEGATE_TEST_MARK": self.mark},
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                start_new_session=True,
            )
        assert self.process.stdout is not None
        self.stdout = self.process.stdout

    def left(self) -> dict[int, str]:
        """Every live process that carries the mark: its id and its command."""
        found = {}
        for pid in psutil.pids():
            with contextlib.suppress(OSError, psutil.Error):
                # As it stands: psutil reads an environment up to its first gap, which a set title leaves in it.
                if self.mark.encode() in Path(f"/proc/{pid}/environ").read_bytes():
                    found[pid] = " ".join(psutil.Process(pid).cmdline())
        return found

    def family(self) -> set[int]:
        """The ids of all that it started: by the mark, and by descent where a title has overwritten the mark."""
        return with_descendants([self.process.pid, *self.left()])

    def stop(self, signum: signal.Signals) -> tuple[int, float]:
        """End it as its user would; returns its exit status and the seconds it took. Kills what will not go."""
        began = time.monotonic()
        self.process.send_signal(signum)
        try:
            status = self.process.wait(2 * STOP_S)
        finally:
            took_s = time.monotonic() - began
            survivors = self.left()
            for pid in survivors:
                os.kill(pid, signal.SIGKILL)
            self.process.wait()
            self.stdout.close()
        assert not survivors, f"left behind: {[command[:80] for command in survivors.values()]}"
        return status, took_s


class Experts(Running):
    """`python -m experts.app`, and what it has said."""

    def __init__(self, catalog: Path, folder: Path) -> None:
        super().__init__(["experts.app", "--catalog", str(catalog)], folder)
        self.events: list[dict[str, Any]] = []

    def await_ready(self) -> str:
        """Read events until `ready`; returns the ingress's address, fails with what the process said instead."""
        for line in self.stdout:
            self.events.append(json.loads(line))
            if self.events[-1]["event"] == "ready":
                return str(self.events[-1]["target"])
            assert self.events[-1]["event"] != "failed", self.events[-1]
        raise AssertionError(f"the experts ended with {self.process.wait()} after {self.events}")


class Moegate(Running):
    """`moegate up`: Ray, the experts and the gateway."""

    def __init__(self, config: Path, folder: Path) -> None:
        arguments = ["serve.cli", "up", "--port", "0", "--grpc-port", "0", "--config", str(config)]
        super().__init__(arguments, folder)
        self.http = self.grpc = self.ingress = ""

    def await_ready(self) -> None:
        """Read what it tells its user until it is ready."""
        seen, began = [], time.monotonic()
        for line in self.stdout:
            seen.append(line)
            if match := re.search(r"ingress (\S+)", line):
                self.ingress = match[1]
            if match := re.search(r"moegate ready: HTTP (\S+), gRPC (\S+)", line):
                self.http, self.grpc = match[1], match[2]
                return
            if time.monotonic() - began > START_S:
                break
        raise AssertionError(f"not ready: {''.join(seen)[-2000:]} {self.log.read_text()[-2000:]}")

    @property
    def secret(self) -> str:
        """What the experts of this run ask for; told to their process alone, in its environment."""
        children = {child.pid for child in psutil.Process(self.process.pid).children()}
        [pid] = [pid for pid, command in self.left().items() if "-m experts.app" in command and pid in children]
        return _environment(pid)[VARIABLE]

    @property
    def ray_token(self) -> str:
        """What Ray asks for."""
        [pid] = [pid for pid, command in self.left().items() if "--raylet_socket_name=" in command]
        return _environment(pid)["RAY_AUTH_TOKEN"]

    def stub(self, channel: Any) -> Any:
        """A stub for calls past the gateway, straight to the experts; each of them shows the secret."""
        stub, shown = ExpertStub(channel), (METADATA_KEY, self.secret)
        for name in ("Generate", "Describe"):
            setattr(stub, name, _adding(getattr(stub, name), shown))
        return stub

    def replica_pids(self, expert: str) -> list[int]:
        """The processes of an expert's replicas."""
        return [pid for pid, command in self.left().items() if f"ServeReplica:{expert}:" in command]


def _environment(pid: int) -> dict[str, str]:
    return psutil.Process(pid).environ()


def _adding(method: Callable[..., Any], pair: tuple[str, str]) -> Callable[..., Any]:
    def call(request: Any, *, metadata: tuple[tuple[str, str], ...] = (), **options: Any) -> Any:
        return method(request, metadata=(*metadata, pair), **options)

    return call
