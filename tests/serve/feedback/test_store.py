"""Feedback: through both doors, on disk before its 200, bounded, and never a comment where it does not belong."""

import contextlib
import math
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import httpx2
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from protos import gateway_pb2 as pb
from protos.gateway_pb2_grpc import GatewayStub
from serve.access.response_ids import new_id
from serve.app import App
from serve.errors import InvalidRequest, StorageUnavailable, UnknownResponse
from serve.feedback.object_ratings import ObjectRatings
from serve.feedback.rating import Rating
from serve.feedback.sqlite_ratings import SqliteRatings
from serve.feedback.store import Feedback, FeedbackBook, default_path
from serve.request import UNLIMITED, Caller
from serve.settings.tree import FeedbackSettings
from serve.telemetry.metrics import Metrics
from serve.telemetry.recent_decisions import Recent

SECRET = "my diagnosis is none of your business"


def rows(path: Path) -> list[tuple[Any, ...]]:
    with sqlite3.connect(path) as database:
        return database.execute(
            "SELECT response_id, rating, better_expert, comment, expert, reason FROM feedback ORDER BY id"
        ).fetchall()


@pytest.fixture
def overrides(tmp_path: Path) -> dict[str, Any]:
    return {"feedback": {"path": str(tmp_path / "feedback.sqlite3")}}


async def test_over_both_doors(
    http: httpx2.AsyncClient,
    stub: GatewayStub,
    app: App,
    sample: Callable[..., float],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    body = {"model": "auto", "messages": [{"role": "user", "content": "Fix this Python function: def f(x) return x"}]}
    answer = (await http.post("/v1/chat/completions", json=body)).json()
    opinion = {"response_id": answer["id"], "rating": 1, "better_expert": "advisor", "comment": SECRET}
    response = await http.post("/v1/feedback", json=opinion)
    assert (response.status_code, response.json()) == (200, {"object": "feedback", "known": True})
    other = (await http.post("/v1/chat/completions", json=body)).json()
    known = await stub.Feedback(pb.FeedbackRequest(response_id=other["id"], rating=-0.5))
    assert known.known
    assert not (await stub.Feedback(pb.FeedbackRequest(response_id="long-gone", rating=0))).known
    expert = answer["model"]
    reason = rows(tmp_path / "feedback.sqlite3")[0][5]
    assert rows(tmp_path / "feedback.sqlite3") == [
        (answer["id"], 1.0, "advisor", SECRET, expert, reason),
        (other["id"], -0.5, None, None, expert, reason),
        ("long-gone", 0.0, None, None, None, None),
    ]
    assert sample("moegate_feedback_total", expert=expert, verdict="good") == 1
    assert sample("moegate_feedback_total", expert=expert, verdict="bad") == 1
    assert sample("moegate_feedback_total", expert="unknown", verdict="neutral") == 1
    assert sample("moegate_feedback_better_total", expert=expert, better="advisor") == 1
    assert sample("moegate_calibration_ece") >= 0
    assert SECRET not in generate_latest(app.metrics.registry).decode()
    assert all(SECRET not in str(vars(record)) for record in caplog.records)


async def test_bad_feedback_over_grpc(stub: GatewayStub) -> None:
    for request in (pb.FeedbackRequest(rating=1), pb.FeedbackRequest(response_id="a", rating=math.nan)):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Feedback(request)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def book(path: Path, max_rows: int = 1000) -> tuple[FeedbackBook, Metrics]:
    metrics = Metrics(CollectorRegistry())
    settings = FeedbackSettings(path=path, max_rows=max_rows)
    return FeedbackBook(settings, Recent(), metrics.feedback, ("coder",), clock=lambda: 0.0), metrics


async def test_the_file_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serve.feedback.sqlite_ratings._PRUNE_EVERY", 10)
    taking, _ = book(tmp_path / "f.sqlite3", max_rows=5)
    for i in range(41):
        await taking.take(Feedback(f"r{i}", 1.0))
    taking.close()
    kept = [row[0] for row in rows(tmp_path / "f.sqlite3")]
    assert len(kept) <= 5 + 10
    assert kept[-1] == "r40"


async def test_a_disk_that_refuses_is_a_typed_error_and_counts_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    taking, metrics = book(tmp_path / "file" / "f.sqlite3")
    with pytest.raises(StorageUnavailable):
        await taking.take(Feedback("r", 1.0))
    assert metrics.registry.get_sample_value("moegate_feedback_total", {"expert": "unknown", "verdict": "good"}) is None
    with pytest.raises(InvalidRequest):
        await taking.take(Feedback("r", 2.0))
    taking.close()


@pytest.mark.parametrize(
    "schema",
    [
        "CREATE TABLE photos (id INTEGER PRIMARY KEY, name TEXT)",
        "CREATE TABLE feedback (id INTEGER PRIMARY KEY, mine TEXT)",
        "CREATE TABLE feedback (id INTEGER PRIMARY KEY); CREATE TABLE other (a)",
        None,
    ],
)
async def test_a_database_of_somebody_elses_is_left_alone(tmp_path: Path, schema: str | None) -> None:
    path = tmp_path / "mine.sqlite3"
    if schema is None:
        path.write_text("years of work\n" * 100)
    else:
        with contextlib.closing(sqlite3.connect(path)) as database:
            database.executescript(schema)
            database.executemany(f"INSERT INTO {schema.split()[2]} (id) VALUES (?)", [(n,) for n in range(1, 40)])
            database.commit()
    before = path.read_bytes()
    taking, _ = book(path, max_rows=2)
    with pytest.raises(StorageUnavailable):
        await taking.take(Feedback("r", 1.0))
    taking.close()
    assert path.read_bytes() == before


def test_it_survives_a_kill_right_after_it_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "f.sqlite3"
    program = f"""
        import asyncio, os, signal
        from pathlib import Path
        from prometheus_client import CollectorRegistry
        from serve.feedback.store import Feedback, FeedbackBook
        from serve.telemetry.metrics import Metrics
        from serve.telemetry.recent_decisions import Recent
        from serve.settings.tree import FeedbackSettings
        async def main():
            settings = FeedbackSettings(path=Path({str(path)!r}))
            book = FeedbackBook(settings, Recent(), Metrics(CollectorRegistry()).feedback, ())
            for i in range(3):
                await book.take(Feedback(f"r{{i}}", 1.0))
            os.kill(os.getpid(), signal.SIGKILL)
        asyncio.run(main())
    """
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=False, cwd=Path(__file__).parents[3])
    assert ended.returncode == -signal.SIGKILL
    assert [row[0] for row in rows(path)] == ["r0", "r1", "r2"]


def test_where_it_is_kept_by_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_path() == tmp_path / "moegate" / "feedback.sqlite3"
    monkeypatch.delenv("XDG_STATE_HOME")
    assert str(default_path()).endswith(os.path.join(".local", "state", "moegate", "feedback.sqlite3"))


async def test_the_last_opinion_counts_and_the_first_is_counted(
    http: httpx2.AsyncClient, sample: Callable[..., float], tmp_path: Path
) -> None:
    body = {"model": "coder", "messages": [{"role": "user", "content": "Fix this"}]}
    answer = (await http.post("/v1/chat/completions", json=body)).json()
    for rating in (1, -1, 0.5):
        await http.post("/v1/feedback", json={"response_id": answer["id"], "rating": rating})
    assert [row[:2] for row in rows(tmp_path / "feedback.sqlite3")] == [(answer["id"], 0.5)]
    assert sample("moegate_feedback_total", expert="coder", verdict="good") == 1
    assert sample("moegate_feedback_total", expert="coder", verdict="bad") == 0


ALICE, BOB, BOSS = (Caller(name, UNLIMITED, name == "boss") for name in ("alice", "bob", "boss"))


def files_of(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def test_an_answer_belongs_to_the_key_that_asked(tmp_path: Path) -> None:
    taking, _ = book(tmp_path / "f.sqlite3")
    hers = new_id("chatcmpl-", "alice")
    with pytest.raises(UnknownResponse):
        await taking.take(Feedback(hers, 1.0), BOB)
    forged = hers[:-8] + new_id("chatcmpl-", "bob")[-8:]
    with pytest.raises(UnknownResponse):
        await taking.take(Feedback(forged, 1.0), BOB)
    assert await taking.take(Feedback(hers, 1.0), ALICE), "another worker's answer is known by its name"
    await taking.take(Feedback(hers, -1.0), BOSS)
    taking.close()
    kept = SqliteRatings(tmp_path / "f.sqlite3", 10)
    assert [(one.key, one.rating) for one in kept.ratings()] == [("alice", 1.0), ("boss", -1.0)]
    assert kept.forget(key="boss") == 1
    assert kept.forget(response_id=hers) == 1
    kept.close()
    assert not any(hers.encode() in path.read_bytes() for path in files_of(tmp_path))


def test_a_table_of_before_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "f.sqlite3"
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute(
            "CREATE TABLE feedback (id INTEGER PRIMARY KEY, at REAL NOT NULL, response_id TEXT NOT NULL, "
            "rating REAL NOT NULL, better_expert TEXT, comment TEXT, expert TEXT, reason TEXT, confidence REAL, "
            "propensity REAL, router_version TEXT)"
        )
        for at, rating in ((1, 1.0), (2, -1.0)):
            database.execute("INSERT INTO feedback (at, response_id, rating) VALUES (?, 'r', ?)", (at, rating))
        database.commit()
    first, second = SqliteRatings(path, 10), SqliteRatings(path, 10)
    assert [(one.at, one.rating, one.key) for one in first.ratings()] == [(2, -1.0, "")]
    assert second.put(Rating(3, "r", "", 0.5)) is False
    assert first.put(Rating(4, "r", "alice", 0.5)) is True
    assert len(list(second.ratings())) == 2
    first.close()
    second.close()


async def test_gateways_on_several_machines_share_an_object_store() -> None:
    settings = FeedbackSettings(target="memory://moegate-test/ratings")
    books = [
        FeedbackBook(settings, Recent(), Metrics(CollectorRegistry()).feedback, (), clock=lambda at=at: float(at))  # type: ignore[misc]
        for at in (1, 2)
    ]
    answer = new_id("chatcmpl-", "alice")
    for taking, rating in zip(books, (1.0, -1.0), strict=True):
        assert await taking.take(Feedback(answer, rating), ALICE)
    await books[0].take(Feedback(new_id("gen-", "bob"), 0.0, comment="fine"), BOB)
    for taking in books:
        taking.close()
    kept = ObjectRatings("memory://moegate-test/ratings")
    assert [(one.key, one.rating) for one in kept.ratings()] == [("bob", 0.0), ("alice", -1.0)]
    assert (kept.forget(key="bob"), kept.forget(response_id=answer), list(kept.ratings())) == (1, 1, [])


async def test_a_store_that_fails_is_told_of_once_a_minute(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("not a folder")
    taking, _ = book(tmp_path / "file" / "f.sqlite3")
    for _ in range(3):
        with pytest.raises(StorageUnavailable):
            await taking.take(Feedback("r", 1.0))
    taking.close()
    assert [record.getMessage() for record in caplog.records] == ["feedback cannot be stored"]


async def test_a_correction_is_kept_redacted_over_both_doors(
    http: httpx2.AsyncClient, stub: GatewayStub, tmp_path: Path
) -> None:
    ask = {"model": "coder", "messages": [{"role": "user", "content": "hello"}]}
    names = [(await http.post("/v1/chat/completions", json=ask)).json()["id"] for _ in range(2)]
    said = "Write to jo@example.org about it."
    body = {"response_id": names[0], "rating": -1, "correction": said}
    assert (await http.post("/v1/feedback", json=body)).status_code == 200
    await stub.Feedback(pb.FeedbackRequest(response_id=names[1], rating=-1, correction=said))
    too_long = await http.post("/v1/feedback", json=body | {"correction": "x" * 40_000})
    assert (too_long.status_code, too_long.json()["error"]["param"]) == (400, "correction")
    store = SqliteRatings(tmp_path / "feedback.sqlite3", 100)
    assert {one.correction for one in store.ratings()} == {"Write to <EMAIL_1> about it."}
    store.close()
