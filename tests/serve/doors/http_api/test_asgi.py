"""A body read within its bounds, headers looked up, and a reply that knows whether it has begun."""

import asyncio
import gzip
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.doors.http_api.asgi import (
    EVENT_STREAM,
    ClientGone,
    HeaderLookup,
    Reply,
    answering,
    error_headers,
    header,
    read_json_body,
    text_header,
)
from serve.errors import (
    ExpertFailed,
    InvalidRequest,
    MalformedBody,
    MoegateError,
    Overloaded,
    PayloadTooLarge,
    UnsupportedMediaType,
)
from serve.telemetry.logs import JsonLines
from tests.serve.doors.http_api.asgi_client import Answer, Client, scope_of

GZIP = (b"content-encoding", b"gzip")


async def read(*pieces: bytes | None, headers: Any = (), bound: int = 100) -> bytes:
    return await read_json_body(scope_of(headers), Client(*pieces).receive, bound)


class TestBody:
    @given(st.lists(st.binary(max_size=20), min_size=1, max_size=8))
    def test_pieces_make_a_body(self, pieces: list[bytes]) -> None:
        coroutine = read(*pieces, bound=160)
        with pytest.raises(StopIteration) as ended:
            coroutine.send(None)  # nothing in it waits
        assert ended.value.value == b"".join(pieces)

    @pytest.mark.parametrize("size", [99, 100, 101])
    async def test_the_bound_is_exact_however_it_comes(self, size: int) -> None:
        body = b" " * size
        for headers in ((), ((b"content-length", b"%d" % size),)):
            for pieces in ((body,), (body[:60], body[60:], b"")):
                if size <= 100:
                    assert await read(*pieces, headers=headers) == body
                else:
                    with pytest.raises(PayloadTooLarge):
                        await read(*pieces, headers=headers)

    async def test_what_is_said_to_be_too_long_is_not_read_and_what_turns_out_so_is_not_read_on(self) -> None:
        for headers, left in (((((b"content-length", b"101")),), 3), ((), 1)):
            client = Client(b" " * 60, b" " * 60, b" " * 60)
            with pytest.raises(PayloadTooLarge):
                await read_json_body(scope_of(headers), client.receive, 100)
            assert len(client.unread) == left

    async def test_the_bound_holds_packed_and_unpacked(self) -> None:
        packed = gzip.compress(b" " * 100)
        assert await read(packed, headers=[GZIP]) == b" " * 100
        with pytest.raises(PayloadTooLarge):
            await read(gzip.compress(b" " * 101), headers=[GZIP])
        with pytest.raises(PayloadTooLarge):
            await read(packed, headers=[GZIP], bound=len(packed) - 1)
        with pytest.raises(MalformedBody):
            await read(b"{}", headers=[GZIP])

    @pytest.mark.parametrize("kind", [b"application/json", b"Application/JSON; charset=x", b"application/vnd.x+json"])
    async def test_json_by_any_of_its_names_or_none(self, kind: bytes) -> None:
        assert await read(b"{}", headers=[(b"content-type", kind)]) == b"{}"

    @pytest.mark.parametrize("kind", [b"text/plain", b"application/x-www-form-urlencoded", b"multipart/form-data", b""])
    async def test_anything_else_is_refused_before_it_is_read(self, kind: bytes) -> None:
        client = Client(b"{}")
        with pytest.raises(UnsupportedMediaType):
            await read_json_body(scope_of([(b"content-type", kind)]), client.receive, 100)
        assert client.unread == [b"{}"]

    async def test_who_leaves_in_the_middle_is_gone(self) -> None:
        with pytest.raises(ClientGone):
            await read(b"{", None)


class TestHeaders:
    scope = scope_of([(b"a", b"first"), (b"b", b"caf\xe9"), (b"a", b"second"), (b"c", b"")])

    def test_the_first_of_several_counts_everywhere(self) -> None:
        assert header(self.scope, b"a") == b"first"
        assert text_header(self.scope, "a") == HeaderLookup(self.scope)("a") == "first"

    def test_any_byte_is_text(self) -> None:
        assert text_header(self.scope, "b") == HeaderLookup(self.scope)("b") == "caf\xe9"

    def test_nothing_is_not_empty(self) -> None:
        assert text_header(self.scope, "c") == HeaderLookup(self.scope)("c") == ""
        assert header(self.scope, b"d") is text_header(self.scope, "d") is HeaderLookup(self.scope)("d") is None


class TestReply:
    def make(self) -> tuple[Reply, Answer]:
        answer = Answer([])

        async def send(message: Any) -> None:
            answer.messages.append(message)

        return Reply(send, [(b"x-request-id", b"7")]), answer

    async def test_a_whole_one_says_its_length_and_ends(self) -> None:
        reply, answer = self.make()
        await reply.whole(201, [(b"a", b"b")], b"hello")
        assert (answer.status, answer.body) == (201, b"hello")
        assert answer.headers == {"x-request-id": "7", "a": "b", "content-length": "5"}
        assert [message.get("more_body") for message in answer.messages] == [None, False]

    async def test_an_error_before_it_begins_is_a_status(self) -> None:
        reply, answer = self.make()
        await reply.fail(InvalidRequest("wrong", param="top_p"))
        assert answer.status == 400
        assert answer.headers["x-moegate-error-code"] == "invalid_value"
        assert answer.headers["x-request-id"] == "7"
        assert answer.json["error"]["param"] == "top_p"

    async def test_an_error_after_that_is_the_last_event(self) -> None:
        reply, answer = self.make()
        await reply.begin(200, EVENT_STREAM)
        await reply.write(b"data: {}\n\n")
        await reply.fail(ExpertFailed("it broke"))
        assert answer.status == 200
        *_, last, nothing = answer.body.split(b"\n\n")
        assert nothing == b""
        assert orjson.loads(last.removeprefix(b"data: "))["error"]["code"] == "expert_failed"
        assert answer.messages[-1]["more_body"] is False

    async def test_whatever_goes_wrong_while_answering_is_answered_and_a_fault_tells_nothing_of_itself(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        for error, code in ((InvalidRequest("wrong"), "invalid_value"), (ValueError("a prompt"), "internal_error")):
            reply, answer = self.make()
            async with answering(reply, "r-7"):
                raise error
            assert answer.json["error"]["code"] == code
            assert b"a prompt" not in answer.body
        [fault] = caplog.records
        assert fault.__dict__["request_id"] == "r-7"
        assert "a prompt" not in JsonLines().format(fault)

    async def test_a_client_that_is_gone_gets_no_answer_and_a_cancel_goes_on(self) -> None:
        reply, answer = self.make()
        async with answering(reply):
            raise ClientGone
        with pytest.raises(asyncio.CancelledError):
            async with answering(reply):
                raise asyncio.CancelledError
        assert not answer.messages


@pytest.mark.parametrize(("retry_after_s", "said"), [(0.01, b"1"), (1.4, b"1"), (29.6, b"30"), (None, None)])
def test_when_to_come_back_is_whole_seconds_and_never_at_once(retry_after_s: float | None, said: bytes | None) -> None:
    error: MoegateError = InvalidRequest("no") if said is None else Overloaded("full", retry_after_s=retry_after_s)
    assert dict(error_headers(error)).get(b"retry-after") == said


def test_an_error_brings_its_own_headers_along() -> None:
    error = UnsupportedMediaType("no", headers=(("accept-encoding", "gzip"),))
    assert (b"accept-encoding", b"gzip") in error_headers(error)
