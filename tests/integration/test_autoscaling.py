"""Replicas follow the load, and nobody notices: up under it, down after it, to zero and back for a rare expert.

A cluster of its own, with short delays; everything goes through the gateway's HTTP door.
"""

import asyncio
import signal
import time
from collections.abc import AsyncIterator

import httpx2
import pytest
import pytest_asyncio
import yaml

from tests.helpers import CHAT, until
from tests.integration.running import STOP_S, Moegate, write_catalog

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

TOKENS = 100
ROUNDS = 2  # cold, awake, and cold again
QUICK = {"upscale_delay_s": 1, "downscale_delay_s": 3, "drain_s": 60}
EXPERTS = {
    "advisor": {
        "max_batch_size": 8,
        "engine_options": {"itl_s": 0.02},
        "scaling": {"min_replicas": 1, "max_replicas": 3, "target_ongoing": 2, **QUICK},
    },
    # Slow to start, as real weights are: else a cold expert may answer before it is passed over.
    "coder": {"engine_options": {"start_s": 5.0}, "scaling": {"min_replicas": 0, "max_replicas": 1, **QUICK}},
    "generalist": {},
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def elastic(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Moegate]:
    folder = tmp_path_factory.mktemp("elastic")
    config = folder / "gateway.yaml"
    catalog = write_catalog(folder, EXPERTS)
    experts = {"catalog": str(catalog), "probe_interval_s": 1.0}
    config.write_text(yaml.safe_dump({"experts": experts}))
    running = Moegate(config, folder)
    try:
        await asyncio.to_thread(running.await_ready)
        yield running
    finally:
        status, took_s = await asyncio.to_thread(running.stop, signal.SIGINT)
    assert (status, took_s <= STOP_S) == (0, True), f"exit {status} after {took_s:.1f} s"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http(elastic: Moegate) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=elastic.http, timeout=60) as client:
        yield client


class Load:
    """Clients that ask one after the other, each answer checked whole."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self._http = http
        self._clients: list[asyncio.Task[None]] = []
        self.answered = 0
        self.failed: list[str] = []

    def set(self, clients: int) -> None:
        """From now on so many; those that are too many end after the answer they are in."""
        self._wanted = clients
        self._clients += [asyncio.create_task(self._ask(n)) for n in range(len(self._clients), clients)]

    async def stop(self) -> None:
        self._wanted = 0
        await asyncio.gather(*self._clients)

    async def _ask(self, number: int) -> None:
        body = {"model": "advisor", "messages": [{"role": "user", "content": "one two"}], "max_tokens": TOKENS}
        while number < self._wanted:
            response = await self._http.post(CHAT, json=body)
            if response.status_code == 200 and response.json()["usage"]["completion_tokens"] == TOKENS:
                self.answered += 1
            else:
                self.failed.append(f"{response.status_code}: {response.text[:200]}")


async def test_one_to_three_to_one_replicas_and_no_failed_request(elastic: Moegate, http: httpx2.AsyncClient) -> None:
    load = Load(http)
    assert len(elastic.replica_pids("advisor")) == 1
    load.set(12)
    await until(lambda: len(elastic.replica_pids("advisor")) == 3, 60)
    await asyncio.sleep(5)  # the new replicas answer, too
    load.set(1)  # somebody is always being answered while replicas go
    await until(lambda: len(elastic.replica_pids("advisor")) == 1, 90)
    await load.stop()
    assert load.failed == []
    assert load.answered > 24


async def counter(http: httpx2.AsyncClient, series: str) -> float:
    """Read one series of the metrics page; 0 when it is not there."""
    lines = (await http.get("/metrics")).text.splitlines()
    return next((float(line.removeprefix(series)) for line in lines if line.startswith(series)), 0.0)


async def test_a_cold_expert_is_woken_while_the_next_one_answers(elastic: Moegate, http: httpx2.AsyncClient) -> None:
    body = {"messages": [{"role": "user", "content": "Fix this Python function: def f(x) return x"}], "max_tokens": 3}
    woken = 'moegate_wakes_total{expert="coder",outcome="answered"}'
    for n in range(1, ROUNDS + 1):
        assert elastic.replica_pids("coder") == []
        cold = await http.post(CHAT, json=body)
        assert cold.status_code == 200
        assert cold.json()["model"] != "coder", f"round {n}: {cold.headers} {elastic.log.read_text()[-3000:]}"
        assert cold.headers["x-moegate-reason"] == "fallback"
        # Nobody asks meanwhile: the gateway's own call is what wakes it.
        began = time.monotonic()
        while await counter(http, woken) < n:
            assert time.monotonic() - began < 60, "it does not wake"
            await asyncio.sleep(0.5)
        warm = await http.post(CHAT, json=body)
        assert (warm.json()["model"], warm.headers["x-moegate-reason"]) == ("coder", "classified")
        await until(lambda: elastic.replica_pids("coder") == [], 90)  # and nothing keeps it awake
        assert await counter(http, woken) == n
        assert (await http.get("/ready")).status_code == 200
