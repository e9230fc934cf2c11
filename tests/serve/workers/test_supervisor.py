"""Several workers behind one port: as many answer, one that is killed comes back, no count is lost, none is left."""

import asyncio
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
import pytest_asyncio
import yaml

from tests.fakes.expert_server import FakeExperts
from tests.fakes.processes import Gateway
from tests.helpers import until

BODY = {"model": "coder", "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture
def config(tmp_path: Path, catalog_file: Path, experts: FakeExperts) -> Path:
    path = tmp_path / "gateway.yaml"
    settings = {
        "experts": {"catalog": str(catalog_file), "target": experts.target, "probe_interval_s": 0.5},
        "shutdown_grace_s": 1.0,
    }
    path.write_text(yaml.safe_dump(settings))
    return path


@pytest_asyncio.fixture
async def gateway(config: Path, tmp_path: Path) -> AsyncIterator[Gateway]:
    running = await asyncio.to_thread(Gateway, tmp_path, config, 2)  # the fake experts answer its probes from this loop
    yield running
    status, _ = await asyncio.to_thread(running.stop, signal.SIGTERM)
    assert status == 0


async def ask(gateway: Gateway) -> httpx2.Response:
    """Over a connection of its own, so that the kernel chooses a worker anew."""
    async with httpx2.AsyncClient(base_url=gateway.http, timeout=60) as client:
        return await client.post("/v1/chat/completions", json=BODY)


async def counted(gateway: Gateway) -> tuple[float, float, float]:
    """Requests ended, gauges of experts ready, workers replaced."""
    async with httpx2.AsyncClient(base_url=gateway.http) as client:
        page = (await client.get("/metrics")).text
    ended = re.findall(r"^moegate_requests_total\{.*\} (\S+)$", page, re.M)
    ready = re.findall(r'^moegate_expert_ready\{expert="coder"\} (\S+)$', page, re.M)
    restarts = re.findall(r"^moegate_worker_restarts_total (\S+)$", page, re.M)
    assert len(ready) == len(restarts) == 1
    return sum(map(float, ended)), float(ready[0]), float(restarts[0])


async def has_counted(gateway: Gateway, expected: tuple[float, float, float]) -> bool:
    return await counted(gateway) == expected


@pytest.mark.slow
async def test_workers_share_count_and_survive(gateway: Gateway) -> None:
    workers = gateway.workers()
    assert len(workers) == 2
    answers = [await ask(gateway) for _ in range(40)]
    assert {answer.status_code for answer in answers} == {200}
    assert {await counted(gateway) for _ in range(8)} == {(40, 1, 0)}  # the same page, whichever worker is asked

    os.kill(workers[0], signal.SIGKILL)
    await until(lambda: len(gateway.workers()) == 2 and workers[0] not in gateway.workers(), every_s=0.1)
    assert {(await ask(gateway)).status_code for _ in range(10)} == {200}
    await until(lambda: has_counted(gateway, (50, 1, 1)), every_s=0.1)  # once the new one has probed the expert
    assert {await counted(gateway) for _ in range(8)} == {(50, 1, 1)}


@pytest.mark.slow
async def test_workers_end_with_their_supervisor(config: Path, tmp_path: Path) -> None:
    running = await asyncio.to_thread(Gateway, tmp_path, config, 2)
    running.process.kill()
    deadline = time.monotonic() + 60
    while running.left() and time.monotonic() < deadline:
        await asyncio.to_thread(time.sleep, 0.1)
    left = running.left()
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    running.process.wait()
    running.stdout.close()
    assert not left


@pytest.mark.slow
async def test_a_port_that_is_taken_is_said(gateway: Gateway, config: Path) -> None:
    port = gateway.http.rpartition(":")[2]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "serve.cli", "gateway", "--port", port, "--grpc-port", "0"),
        *("--config", str(config), "--workers", "2"),
        stderr=asyncio.subprocess.PIPE,
    )
    _, stderr = await process.communicate()
    assert process.returncode == 1
    assert b"in use" in stderr
