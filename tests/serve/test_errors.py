"""The error tree is complete: each class can be rendered by both doors."""

from collections.abc import Iterator

import grpc
import orjson

from serve.doors.http_api.asgi import error_headers
from serve.doors.openai_api.errors import OPENAI_ERRORS
from serve.errors import MoegateError


def tree(kind: type[MoegateError]) -> Iterator[type[MoegateError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from tree(child)


def test_every_class_has_every_column() -> None:
    for kind in tree(MoegateError):
        assert 400 <= kind.http_status < 600
        assert isinstance(kind.grpc_status, grpc.StatusCode)
        assert kind.type.endswith("_error")
        assert kind.__doc__


def test_codes_are_unique_but_for_the_base() -> None:
    codes = [kind.code for kind in tree(MoegateError) if kind is not MoegateError]
    assert len(codes) == len(set(codes))


def test_both_doors_agree_on_whose_fault_it_is() -> None:
    callers = {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.FAILED_PRECONDITION,
    }
    for kind in tree(MoegateError):
        assert (kind.http_status < 500) == (kind.grpc_status in callers), kind


def test_rendering() -> None:
    for kind in tree(MoegateError):
        error = kind("what happened", param="messages")
        body = orjson.loads(OPENAI_ERRORS.body(error))["error"]
        assert body == {"message": "what happened", "type": kind.type, "param": "messages", "code": kind.code}
        assert (b"retry-after" in dict(error_headers(error))) == (kind.retry_after_s is not None)
