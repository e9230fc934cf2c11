"""One call by itself: messages out of bytes in any cut, every way to end, and what it tells its connection."""

import asyncio
from itertools import pairwise

import pytest
from grpc import StatusCode
from hypothesis import given
from hypothesis import strategies as st

from serve.expert_client.h2.call import WINDOW, Call, CallError
from serve.expert_client.h2.frames import FrameError, Reset


class Line:
    """A connection that keeps what its call tells it."""

    def __init__(self) -> None:
        self.ended: list[tuple[int, Reset | None]] = []
        self.credited = 0

    def end(self, stream: int, why: Reset | None) -> None:
        self.ended.append((stream, why))

    def credit(self, stream: int, size: int) -> None:
        assert stream == 7
        self.credited += size


def calling(timeout_s: float = 600.0) -> tuple[Call[bytes], Line]:
    line = Line()
    return Call(7, line, bytes, timeout_s=timeout_s, window=0), line


def message(content: bytes) -> bytes:
    return b"\0" + len(content).to_bytes(4, "big") + content


async def error_of(call: Call[bytes]) -> CallError:
    with pytest.raises(CallError) as ended:
        await call.read()
    return ended.value


@given(st.lists(st.binary(max_size=40), max_size=6), st.lists(st.integers(0, 300), max_size=6))
def test_messages_come_whole_however_their_bytes_are_cut(messages: list[bytes], cuts: list[int]) -> None:
    async def run() -> None:
        call, _ = calling()
        wire = b"".join(map(message, messages))
        edges = [0, *sorted(min(cut, len(wire)) for cut in cuts), len(wire)]
        for low, high in pairwise(edges):
            call.data(wire[low:high])
        assert call.is_ready is bool(messages)
        call.trailers({"grpc-status": "0"})
        assert [await call.read() for _ in messages] == messages
        assert await call.read() is None

    asyncio.run(run())


class TestWake:
    async def test_a_read_that_waits_returns_nothing_and_the_call_goes_on(self) -> None:
        call, _ = calling()
        reading = asyncio.create_task(call.read())
        await asyncio.sleep(0)
        call.wake()
        assert await reading is None
        call.data(message(b"on"))
        assert await call.read() == b"on"

    async def test_it_holds_for_the_next_read_that_would_wait(self) -> None:
        call, _ = calling()
        call.wake()
        call.data(message(b"first"))
        assert await call.read() == b"first"
        assert await call.read() is None
        call.trailers({"grpc-status": "13"})
        assert (await error_of(call)).status is StatusCode.INTERNAL


class TestEnds:
    @pytest.mark.parametrize(
        ("headers", "status", "details"),
        [
            ({"grpc-status": "14", "grpc-message": "gone%20away"}, StatusCode.UNAVAILABLE, "gone away"),
            ({"grpc-status": "3"}, StatusCode.INVALID_ARGUMENT, ""),
            ({"grpc-status": "99"}, StatusCode.UNKNOWN, ""),
            ({":status": "404"}, StatusCode.UNIMPLEMENTED, ""),
            ({":status": "401"}, StatusCode.UNAUTHENTICATED, ""),
            ({":status": "503"}, StatusCode.UNAVAILABLE, ""),
            ({}, StatusCode.UNAVAILABLE, ""),
        ],
    )
    async def test_by_a_status(self, headers: dict[str, str], status: StatusCode, details: str) -> None:
        call, line = calling()
        call.trailers(headers)
        ended = await error_of(call)
        assert (ended.status, ended.details) == (status, details)
        assert line.ended == [(7, None)], "the peer knows"

    @pytest.mark.parametrize("code", ["", "-1", "two", "1" * 12, "１"])
    async def test_a_status_is_a_number(self, code: str) -> None:
        call, _ = calling()
        with pytest.raises(FrameError):
            call.trailers({"grpc-status": code})
        call.cancel()

    @pytest.mark.parametrize(
        ("code", "status"),
        [
            (8, StatusCode.CANCELLED),
            (11, StatusCode.RESOURCE_EXHAUSTED),
            (7, StatusCode.UNAVAILABLE),
            (0, StatusCode.UNAVAILABLE),
            (4711, StatusCode.UNAVAILABLE),
        ],
    )
    async def test_by_a_reset(self, code: int, status: StatusCode) -> None:
        call, _ = calling()
        call.was_reset(code)
        assert (await error_of(call)).status is status

    async def test_with_the_connection(self) -> None:
        call, _ = calling()
        call.lost()
        assert (await error_of(call)).status is StatusCode.UNAVAILABLE

    async def test_at_its_deadline_and_the_peer_is_told(self) -> None:
        call, line = calling(timeout_s=0.01)
        assert (await error_of(call)).status is StatusCode.DEADLINE_EXCEEDED
        assert line.ended == [(7, Reset.CANCEL)]

    async def test_by_ourselves_while_somebody_reads(self) -> None:
        call, line = calling()
        reading = asyncio.create_task(error_of(call))
        await asyncio.sleep(0)
        call.cancel()
        assert (await reading).status is StatusCode.CANCELLED
        assert line.ended == [(7, Reset.CANCEL)]

    async def test_once_and_the_first_end_counts(self) -> None:
        call, line = calling()
        call.trailers({"grpc-status": "0"})
        call.cancel()
        call.lost()
        call.was_reset(8)
        assert await call.read() is None
        assert line.ended == [(7, None)]

    async def test_what_came_before_the_end_is_read_before_it(self) -> None:
        call, _ = calling()
        call.data(message(b"one") + message(b"two"))
        call.trailers({"grpc-status": "13"})
        assert [await call.read(), await call.read()] == [b"one", b"two"]
        assert (await error_of(call)).status is StatusCode.INTERNAL

    async def test_compressed_messages_are_none_that_we_asked_for(self) -> None:
        call, line = calling()
        call.data(b"\1" + message(b"x")[1:])
        assert (await error_of(call)).status is StatusCode.INTERNAL
        assert line.ended == [(7, Reset.CANCEL)]


async def test_a_reader_that_gives_up_can_be_followed_by_another() -> None:
    call, _ = calling()
    impatient = asyncio.create_task(call.read())
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.gather(impatient, return_exceptions=True)
    call.data(message(b"late"))
    assert await call.read() == b"late"
    call.cancel()


class TestWindow:
    async def test_what_is_read_is_credited_in_large_portions_and_what_is_not_is_not(self) -> None:
        call, line = calling()
        half = message(bytes(WINDOW // 2))
        call.data(half + message(b"unread"))
        assert line.credited == 0
        await call.read()
        assert line.credited == len(half)
        call.cancel()

    async def test_a_message_larger_than_the_window_comes_in_and_no_byte_is_credited_twice(self) -> None:
        call, line = calling()
        large = message(bytes(3 * WINDOW))
        sent = 0
        while sent < len(large):
            allowed = WINDOW + line.credited - sent
            assert allowed > 0, "the peer may not send, and we wait for it"
            call.data(large[sent : sent + min(allowed, 16_384)])
            sent += min(allowed, 16_384)
        assert await call.read() == bytes(3 * WINDOW)
        assert line.credited <= len(large)
        call.data(message(bytes(WINDOW // 2)))
        await call.read()
        assert line.credited <= len(large) + WINDOW // 2 + 5
        call.cancel()

    async def test_after_the_end_nothing_is_credited(self) -> None:
        call, line = calling()
        call.data(message(bytes(WINDOW // 2)))
        call.trailers({"grpc-status": "0"})
        await call.read()
        assert line.credited == 0
