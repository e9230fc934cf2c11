"""One page out of several workers: the living are asked, the dead leave their counts and not their gauges."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import orjson
import pytest
from prometheus_client import CollectorRegistry

from serve.telemetry.metrics import Metrics
from serve.telemetry.metrics.page import Page, snapshot
from serve.workers.shared_metrics import SharedMetrics, keep, past_counts

LABELS = {"expert": "coder", "door": "http", "outcome": "ok"}


def counted(requests: int, in_flight: int = 0) -> Metrics:
    metrics = Metrics(CollectorRegistry())
    metrics.requests.ended.labels(*LABELS.values()).inc(requests)
    metrics.requests.in_flight.labels("coder").set(in_flight)
    return metrics


def value(page: Page, name: str) -> float:
    return sum(one.value for family in page.collect() for one in family.samples if one.name == f"moegate_{name}")


def sockets(folder: Path) -> list[Path]:
    return list(folder.glob("*.sock"))


@asynccontextmanager
async def worker(
    folder: Path, pid: int, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[SharedMetrics]:
    """A worker of another process id, in this process."""
    monkeypatch.setattr("os.getpid", lambda: pid)
    siblings = SharedMetrics(folder, metrics.registry, metrics.across)
    await siblings.start()
    try:
        yield siblings
    finally:
        await siblings.stop()


async def test_whoever_is_asked_shows_all_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with AsyncExitStack() as running:
        workers = [
            await running.enter_async_context(worker(tmp_path, pid, counted(pid, in_flight=1), monkeypatch))
            for pid in (1, 20, 300)
        ]
        pages = [await one.page() for one in workers]
    assert [value(page, "requests_total") for page in pages] == [321] * 3
    assert [value(page, "requests_in_flight") for page in pages] == [3] * 3


async def test_a_count_is_as_new_as_the_scrape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = counted(1)
    async with (
        worker(tmp_path, 1, counted(10), monkeypatch) as one,
        worker(tmp_path, 2, theirs, monkeypatch),
    ):
        assert value(await one.page(), "requests_total") == 11
        theirs.requests.ended.labels(*LABELS.values()).inc()
        assert value(await one.page(), "requests_total") == 12


async def test_who_has_stopped_keeps_its_counts_and_loses_its_gauges(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with worker(tmp_path, 1, counted(10, in_flight=1), monkeypatch) as one:
        async with worker(tmp_path, 2, counted(5, in_flight=4), monkeypatch):
            assert value(await one.page(), "requests_in_flight") == 5
        page = await one.page()
    assert (value(page, "requests_total"), value(page, "requests_in_flight")) == (15, 1)
    assert sockets(tmp_path) == []


async def test_a_worker_that_was_killed_counts_as_it_was_last_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its socket is still there and nobody answers at it."""
    keep(tmp_path / "2.json", snapshot(counted(5, in_flight=4).registry))
    (await asyncio.start_unix_server(lambda *_: None, tmp_path / "2.sock")).close()
    (tmp_path / "2.sock").touch()
    async with worker(tmp_path, 1, counted(10), monkeypatch) as one:
        page = await one.page()
    assert (value(page, "requests_total"), value(page, "requests_in_flight")) == (15, 0)


async def test_one_that_hangs_does_not_hold_up_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(tmp_path / "2.json", snapshot(counted(5).registry))
    never = asyncio.Event()

    async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await never.wait()
        writer.close()

    async with worker(tmp_path, 1, counted(10), monkeypatch) as one:
        server = await asyncio.start_unix_server(silent, tmp_path / "2.sock")
        page = await asyncio.wait_for(one.page(), 60)
        never.set()
        server.close()
    assert value(page, "requests_total") == 15


def test_a_reader_sees_the_old_snapshot_or_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "1.json"
    for shown in (b"[1]", b"[2]"):
        keep(path, shown)
        assert path.read_bytes() == shown
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_left_of_a_dead_worker_is_all_but_its_gauges(tmp_path: Path) -> None:
    keep(tmp_path / "1.json", snapshot(counted(3, in_flight=2).registry))
    kinds = {kind for _, _, kind, _ in orjson.loads(past_counts(tmp_path / "1.json"))}
    assert kinds == {"counter", "histogram"}
