"""The writer: a full disk or a store that hangs costs records, which are counted, and never a request."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from serve.interactions import segments
from serve.interactions.kept import Ended
from serve.interactions.stores import FolderStore, ObjectStore, Segment, StoreFailed, open_segments
from serve.interactions.writer import Writer
from serve.settings.interactions import InteractionsSettings
from serve.telemetry.metrics import Metrics
from tests.helpers import chat_request, chunk, last_chunk, route_decision, routed_record, until


def ended(text: str = "Fix this", size: int = 100, answer: str = "Done.") -> Ended:
    record = routed_record(route_decision("coder"), text=text)
    chunks = [chunk(answer), last_chunk(1)]
    return Ended(time.time(), record, chunks, "", size)


class Made:
    """A writer and what it counts."""

    def __init__(self, store: Any, **changes: Any) -> None:
        self.metrics = Metrics(CollectorRegistry())
        settings = InteractionsSettings(keys=("*",), **{"flush_s": 0.01} | changes)
        self.writer = Writer(store, settings, self.metrics.interactions, "catalog")

    def count(self, outcome: str) -> float:
        labels = {"outcome": outcome}
        return self.metrics.registry.get_sample_value("moegate_interactions_total", labels) or 0.0


class Hanging(FolderStore):
    """A store that takes its time, and says so."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.go_on, self.is_asked = threading.Event(), threading.Event()

    def write(self, name: str, data: bytes) -> None:
        self.is_asked.set()
        self.go_on.wait()
        super().write(name, data)


class Full(FolderStore):
    """A disk without room, until there is."""

    has_room = False

    def write(self, name: str, data: bytes) -> None:
        if not self.has_room:
            raise StoreFailed("No space left on device")
        super().write(name, data)


async def test_records_are_written_in_order(tmp_path: Path) -> None:
    made = Made(FolderStore(tmp_path))
    made.writer.start()
    for number in range(700):
        made.writer.take(ended(f"question {number}"))
    await until(lambda: made.count("kept") == 700)
    made.writer.close()
    said = [row["request"]["messages"][0]["content"] for row in segments.rows(FolderStore(tmp_path))]
    assert said == [f"question {number}" for number in range(700)]
    assert len(FolderStore(tmp_path).segments()) == 1


async def test_a_store_that_hangs_costs_records_beyond_a_bound_and_holds_nobody_up(tmp_path: Path) -> None:
    store = Hanging(tmp_path)
    made = Made(store, max_waiting_bytes=2**16)
    made.writer.start()
    made.writer.take(ended())
    await until(store.is_asked.is_set)
    for _ in range(100):
        made.writer.take(ended())
    held = 2**16 // 1600
    assert made.count("full") == 100 - held
    store.go_on.set()
    await until(lambda: made.count("kept") == held + 1)
    made.writer.close()


async def test_closing_does_not_wait_for_a_store_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serve.interactions.writer._LAST_WORDS_S", 0.05)
    store = Hanging(tmp_path)
    made = Made(store)
    made.writer.start()
    made.writer.take(ended())
    await until(store.is_asked.is_set)
    made.writer.take(ended())
    made.writer.close()
    assert made.count("failed") == 1
    store.go_on.set()
    made.writer._thread.join()


async def test_a_full_disk_is_counted_and_told_of_once_and_ends(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = Full(tmp_path)
    made = Made(store)
    made.writer.start()
    for lost in range(3):
        made.writer.take(ended())
        await until(lambda lost=lost: made.count("failed") == lost + 1)  # type: ignore[misc]
    assert [record.getMessage() for record in caplog.records] == ["interactions cannot be kept"]
    store.has_room = True
    made.writer.take(ended("at last"))
    await until(lambda: made.count("kept") == 1)
    made.writer.close()
    assert [row["request"]["messages"][0]["content"] for row in segments.rows(store)] == ["at last"]


def test_a_write_that_fails_half_way_leaves_the_segment_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FolderStore(tmp_path)
    name = "20260101T000000-h-1-00000000.jsonl.gz"
    store.write(name, gzip.compress(b'{"n": 1}\n'))
    before = store.read(name)
    import os

    real = os.write
    calls = iter((lambda file, data: real(file, data[:3]),))

    def write(file: int, data: Any) -> int:
        for call in calls:
            return call(file, data)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(StoreFailed, match="No space left on device"):
        store.write(name, gzip.compress(b'{"n": 2}\n'))
    assert store.read(name) == before


async def test_one_records_fault_is_not_the_next_ones(tmp_path: Path) -> None:
    made = Made(FolderStore(tmp_path))
    made.writer.start()
    broken = ended()
    broken.record.prepared = chat_request()
    broken.record.prepared.input.tools.add(name="t", parameters_json="no JSON")  # type: ignore[union-attr]
    made.writer.take(broken)
    made.writer.take(ended())
    await until(lambda: made.count("kept") == 1)
    made.writer.close()
    assert made.count("fault") == 1


async def test_segments_end_by_size_and_by_age_and_the_oldest_go(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    strangers = tmp_path / "mine.txt"
    strangers.write_text("years of work")
    made = Made(store, segment_bytes=2**16, max_bytes=2**20)
    made.writer.start()
    noise = iter(_noise())
    written = 0
    while len(made_so_far := store.segments()) < 12:
        made.writer.take(ended(next(noise)))
        written += 1
        await until(lambda: made.count("kept") == written)  # noqa: B023
    assert all(2**16 <= segment.size < 2**17 for segment in made_so_far[:-1])
    assert made.metrics.registry.get_sample_value("moegate_interaction_bytes_total") == sum(
        segment.size for segment in made_so_far
    )
    made.writer.close()
    aged = Made(store, segment_s=0.001, max_bytes=2**20)
    aged.writer._settings = aged.writer._settings.model_copy(update={"max_bytes": 3 * 2**16})
    aged.writer.start()
    for number in range(3):
        aged.writer.take(ended(f"small {number}"))
        await until(lambda number=number: aged.count("kept") == number + 1)  # type: ignore[misc]
    aged.writer.close()
    left = store.segments()
    assert sum(segment.size for segment in left) <= 3 * 2**16
    assert {segment.name for segment in made_so_far[:8]}.isdisjoint(segment.name for segment in left)
    last = [row["request"]["messages"][0]["content"] for row in segments.rows(store)][-3:]
    assert last == ["small 0", "small 1", "small 2"]
    assert strangers.read_text() == "years of work"


def _noise() -> Iterator[str]:
    """Texts that do not compress well, and hold nothing to be masked."""
    import random

    generator = random.Random(1)
    while True:
        yield " ".join("".join(generator.choices("abcdefghijklmnopqrstuvwxyz", k=9)) for _ in range(800))


class Memory:
    """What `ObjectStore` asks of fsspec."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.fails = False

    def pipe_file(self, path: str, data: bytes) -> None:
        if self.fails:
            raise ConnectionError("https://secret.example/bucket is gone")
        self.objects[path] = data

    def ls(self, path: str, *, detail: bool) -> list[dict[str, Any]]:
        assert detail
        return [{"name": name, "size": len(data)} for name, data in self.objects.items()]

    def invalidate_cache(self) -> None:
        pass

    def cat_file(self, path: str) -> bytes:
        return self.objects[path]

    def rm_file(self, path: str) -> None:
        del self.objects[path]


async def test_an_object_store_gets_whole_segments(caplog: pytest.LogCaptureFixture) -> None:
    files = Memory()
    files.objects["bucket/kept/mine.txt"] = b"years of work"
    made = Made(ObjectStore(files, "bucket/kept/"), segment_s=3600)
    made.writer.start()
    for number in range(5):
        made.writer.take(ended(f"question {number}"))
    await until(lambda: not made.writer._waiting)
    assert made.count("kept") == 0
    made.writer.close()
    assert made.count("kept") == 5
    assert len(files.objects) == 2
    assert len(list(segments.rows(ObjectStore(files, "bucket/kept")))) == 5
    files.fails = True
    failing = Made(ObjectStore(files, "bucket/kept"), segment_s=0.001)
    failing.writer.start()
    failing.writer.take(ended())
    await until(lambda: failing.count("failed") == 1)
    failing.writer.close()
    assert "secret" not in str([vars(record) for record in caplog.records])


def test_fsspec_itself_is_such_a_store() -> None:
    store = open_segments(InteractionsSettings(keys=("*",), target="memory://moegate-test/kept"))
    name = "20260101T000000-h-1-00000000.jsonl.gz"
    assert store.segments() == []
    store.write(name, b"abc")
    assert store.segments() == [Segment(name, 3)]
    assert (store.read(name), store.read("gone")) == (b"abc", b"")
    store.replace(name, None)
    store.replace(name, None)
    assert store.segments() == []
