"""Anthropic's errors: each of ours has a type of theirs."""

from collections.abc import Iterator

import orjson
import pytest

from serve.doors.anthropic_api.errors import ANTHROPIC_ERRORS, type_of
from serve.errors import InvalidRequest, MoegateError


def tree(kind: type[MoegateError]) -> Iterator[type[MoegateError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from tree(child)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (408, "timeout_error"),
        (413, "request_too_large"),
        (415, "invalid_request_error"),
        (422, "invalid_request_error"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (502, "api_error"),
        (503, "overloaded_error"),
    ],
)
def test_types_go_by_the_status(status: int, expected: str) -> None:
    assert type_of(status) == expected


def test_an_error_says_all() -> None:
    error = InvalidRequest("'model' no", param="model")
    said = {"type": "invalid_request_error", "message": "'model' no", "param": "model", "code": "invalid_value"}
    assert orjson.loads(ANTHROPIC_ERRORS.body(error)) == {"type": "error", "error": said}
    name, data, *_ = ANTHROPIC_ERRORS.event(error).split(b"\n")
    assert name == b"event: error"
    assert orjson.loads(data.removeprefix(b"data: ")) == {"type": "error", "error": said}


def test_every_error_has_a_type() -> None:
    for kind in tree(MoegateError):
        assert (type_of(kind.http_status) in {"api_error", "overloaded_error"}) == (kind.http_status >= 500)
