"""`POST /v1/feedback`: what is taken, what is refused by name, and what a fault of ours looks like."""

from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest

from serve.doors.http_api.feedback import FeedbackEndpoint
from serve.errors import StorageUnavailable
from serve.feedback.store import Feedback
from serve.request import Caller
from serve.settings.tree import load_settings
from tests.serve.doors.http_api.asgi_client import asked

GOOD = {"response_id": "a", "rating": 1, "better_expert": "coder", "comment": "well done"}


class Book:
    """A book that knows one answer, or fails."""

    def __init__(self, error: Exception | None = None) -> None:
        self.taken: list[Feedback] = []
        self._error = error

    async def take(self, feedback: Feedback, caller: Caller) -> bool:
        if self._error is not None:
            raise self._error
        self.taken.append(feedback)
        return feedback.response_id == "a"


def endpoint(book: Any, **http: Any) -> FeedbackEndpoint:
    return FeedbackEndpoint(book, load_settings(overrides={"http": http}))


@pytest.mark.parametrize("response_id", ["a", "long-gone"])
async def test_what_is_said_is_taken_and_whether_it_is_known_is_told(response_id: str) -> None:
    book = Book()
    said = orjson.dumps(GOOD | {"response_id": response_id})
    answer = await asked(endpoint(book), said)
    assert (answer.status, answer.json) == (200, {"object": "feedback", "known": response_id == "a"})
    assert book.taken == [Feedback(response_id, 1.0, "coder", "well done")]


async def test_a_rating_alone_will_do() -> None:
    book = Book()
    assert (await asked(endpoint(book), b'{"response_id": "a", "rating": -0.5}')).status == 200
    assert book.taken == [Feedback("a", -0.5, None, None)]


@pytest.mark.parametrize(
    ("said", "status", "param"),
    [
        (b"", 400, None),
        (b"[]", 400, None),
        (b'{"rating": 1}', 400, "response_id"),
        (b'{"response_id": "a"}', 400, "rating"),
        (b'{"response_id": 1, "rating": 1}', 400, "response_id"),
        (b'{"response_id": "a", "rating": -1.5}', 400, "rating"),
        (b'{"response_id": "a", "rating": 1, "comment": {}}', 400, "comment"),
        (b'{"response_id": "a", "rating": 1, "comment": "%s"}' % (b"x" * 70_000), 413, None),
    ],
)
async def test_what_is_none_is_refused_and_never_reaches_the_book(said: bytes, status: int, param: str | None) -> None:
    book = Book()
    answer = await asked(endpoint(book), said)
    assert (answer.status, answer.json["error"]["param"]) == (status, param)
    assert book.taken == []


async def test_the_bound_of_all_bodies_holds_here_too() -> None:
    assert (
        await asked(endpoint(Book(), max_body_bytes=1024), orjson.dumps(GOOD | {"comment": "x" * 1024}))
    ).status == 413


async def test_a_book_that_cannot_be_written_says_when_to_come_back() -> None:
    answer = await asked(endpoint(Book(StorageUnavailable("the disk is full"))), orjson.dumps(GOOD))
    assert (answer.status, answer.json["error"]["code"]) == (503, "storage_unavailable")
    assert int(answer.headers["retry-after"]) >= 1


async def test_a_fault_of_ours_is_an_answer_that_tells_nothing_of_it() -> None:
    answer = await asked(endpoint(Book(RuntimeError("row 7 of /srv/feedback"))), orjson.dumps(GOOD))
    assert (answer.status, answer.json["error"]["code"]) == (500, "internal_error")
    assert b"/srv" not in answer.body


async def test_who_leaves_meanwhile_gets_none() -> None:
    assert not (await asked(endpoint(Book()), None)).messages


class TestOverTheGateway:
    @pytest.fixture
    def overrides(self, tmp_path: Path) -> dict[str, Any]:
        return {"feedback": {"path": str(tmp_path / "feedback.sqlite3")}}

    @pytest.mark.parametrize(
        ("change", "param"),
        [
            ({"rating": 1.01}, "rating"),
            ({"rating": "1"}, "rating"),
            ({"rating": None}, "rating"),
            ({"response_id": "no spaces"}, "response_id"),
            ({"response_id": "x" * 129}, "response_id"),
            ({"better_expert": "nobody"}, "better_expert"),
            ({"comment": "x" * 4001}, "comment"),
            ({"colour": "blue"}, "colour"),
        ],
    )
    async def test_bad_feedback_is_named(
        self, http: httpx2.AsyncClient, tmp_path: Path, change: dict[str, Any], param: str
    ) -> None:
        response = await http.post("/v1/feedback", json={"response_id": "a", "rating": 1, **change})
        assert (response.status_code, response.json()["error"]["param"]) == (400, param)
        assert not (tmp_path / "feedback.sqlite3").exists()  # nothing was worth a file
