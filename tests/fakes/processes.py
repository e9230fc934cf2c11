"""Processes that a test may kill, stop and bring back: a gateway of its own, and experts that speak at a set pace."""

import re
import signal
import subprocess
import sys
from pathlib import Path

from tests.integration.running import ROOT, Running


class Gateway(Running):
    """`moegate gateway`."""

    def __init__(self, folder: Path, config: Path, workers: int = 1) -> None:
        ports = ["--port", "0", "--grpc-port", "0"]
        super().__init__(["serve.cli", "gateway", *ports, "--config", str(config), "--workers", str(workers)], folder)
        match = re.search(r"ready: HTTP (\S+), gRPC (\S+)", self.stdout.readline())
        assert match is not None, self.log.read_text()[-2000:]
        self.http, self.grpc = match[1], match[2]

    def workers(self) -> list[int]:
        return [pid for pid, command in self.left().items() if "serve.commands.worker " in command]


class Upstream:
    """`loadtests.upstream`: every expert of any catalogue, in one process."""

    def __init__(self, *, port: int = 0, tokens: int = 50, first_ms: float = 0, gap_ms: float = 0) -> None:
        pace = ["--tokens", str(tokens), "--first-ms", str(first_ms), "--gap-ms", str(gap_ms)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "loadtests.upstream", *pace, "--grpc-port", str(port)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        match = re.match(r"grpc=(\S+) ", self.process.stdout.readline())
        assert match is not None
        self.target = match[1]

    @property
    def port(self) -> int:
        return int(self.target.rpartition(":")[2])

    def signal(self, signum: signal.Signals) -> None:
        self.process.send_signal(signum)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
