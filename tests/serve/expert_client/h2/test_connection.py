"""A connection fed by hand: frames in every cut, the rarer kinds of them, and what a peer may say in mid-flight."""

import asyncio
import struct
from itertools import pairwise
from typing import Any, cast

import pytest
from grpc import StatusCode
from hypothesis import given, settings
from hypothesis import strategies as st

from serve.expert_client.h2.call import WINDOW, Call, CallError
from serve.expert_client.h2.connection import Connection
from serve.expert_client.h2.frames import (
    ACK,
    END_HEADERS,
    END_STREAM,
    HEAD,
    HEAD_BYTES,
    PADDED,
    PREFACE,
    PRIORITY,
    Kind,
    Reset,
    Setting,
    frame,
    header,
    reset,
    window_update,
)
from serve.expert_client.h2.frames import settings as settings_frame

OPENING = b"\x88" + header(b"content-type", b"application/grpc")  # :status 200, from the static table
WELL = header(b"grpc-status", b"0")


class Wire:
    """A transport that keeps what is written to it."""

    def __init__(self) -> None:
        self.written = b""
        self.is_closed = False

    def write(self, data: bytes) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    def frames(self) -> list[tuple[int, int, int, bytes]]:
        """What was written since the preface: kind, flags, stream, payload."""
        data, found = self.written.removeprefix(PREFACE), []
        while data:
            upper, lower, kind, flags, stream = HEAD.unpack_from(data)
            end = HEAD_BYTES + (upper << 8 | lower)
            found.append((kind, flags, stream, data[HEAD_BYTES:end]))
            data = data[end:]
        return found


class Peer:
    """Our end of a connection, and the other end played by the test."""

    def __init__(self) -> None:
        self.connection = Connection()
        self.wire = Wire()
        self.connection.connection_made(cast(asyncio.Transport, self.wire))

    def call(self, message: bytes = b"hi") -> Call[bytes]:
        return self.connection.call(b"", message, bytes, timeout_s=600)

    async def sent(self) -> list[tuple[int, int, int, bytes]]:
        """What has been written since it was last asked."""
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        found = self.wire.frames()
        self.wire.written = b""
        return found

    def say(self, *frames: bytes) -> None:
        self.connection.data_received(b"".join(frames))


def message(text: bytes) -> bytes:
    return b"\x00" + len(text).to_bytes(4, "big") + text


def data(stream: int, payload: bytes, flags: int = 0) -> bytes:
    return frame(Kind.DATA, flags, stream, payload)


def headers(stream: int, block: bytes, flags: int = END_HEADERS) -> bytes:
    return frame(Kind.HEADERS, flags, stream, block)


def end(stream: int, block: bytes = WELL) -> bytes:
    return headers(stream, block, END_HEADERS | END_STREAM)


async def drained(call: Call[bytes]) -> list[bytes]:
    found = []
    while (one := await call.read()) is not None:
        found.append(one)
    return found


ANSWER = b"".join(
    (
        settings_frame(()),
        headers(1, OPENING),
        data(1, message(b"one") + message(b"two")[:3]),
        frame(Kind.PING, 0, 0, b"12345678"),
        data(1, message(b"two")[3:]),
        data(1, message(b"")),
        end(1),
    )
)


@pytest.mark.parametrize("at", range(len(ANSWER) + 1))
async def test_an_answer_cut_at_every_byte(at: int) -> None:
    peer = Peer()
    call = peer.call()
    peer.say(ANSWER[:at])
    await asyncio.sleep(0)
    peer.say(ANSWER[at:])
    assert await drained(call) == [b"one", b"two", b""]


@given(st.lists(st.integers(0, len(ANSWER)), max_size=12))
@settings(max_examples=50, deadline=None)
def test_an_answer_cut_anyhow(cuts: list[int]) -> None:
    async def run() -> None:
        peer = Peer()
        call = peer.call()
        edges = [0, *sorted(cuts), len(ANSWER)]
        for low, high in pairwise(edges):
            peer.say(ANSWER[low:high])
        assert await drained(call) == [b"one", b"two", b""]

    asyncio.run(run())


async def test_padding_and_priority_are_taken_off() -> None:
    peer = Peer()
    call = peer.call()
    padded = bytes((4,)) + message(b"hello") + b"\0" * 4
    opening = bytes((2,)) + b"\0\0\0\0\0" + OPENING + b"\0\0"
    peer.say(
        headers(1, opening, END_HEADERS | PADDED | PRIORITY),
        data(1, padded, PADDED),
        data(1, bytes((3,)) + b"\0" * 3, PADDED),  # nothing but padding
        end(1),
    )
    assert await drained(call) == [b"hello"]


@pytest.mark.parametrize("at", range(1, len(WELL)))
async def test_a_header_block_in_two_frames(at: int) -> None:
    peer = Peer()
    call = peer.call()
    peer.say(
        headers(1, OPENING[:2], 0),
        frame(Kind.CONTINUATION, 0, 1, OPENING[2:5]),
        frame(Kind.CONTINUATION, END_HEADERS, 1, OPENING[5:]),
        data(1, message(b"x")),
        headers(1, WELL[:at], END_STREAM),
        frame(Kind.CONTINUATION, END_HEADERS, 1, WELL[at:]),
    )
    assert await drained(call) == [b"x"]


async def test_a_continuation_of_nothing_is_ignored() -> None:
    peer = Peer()
    call = peer.call()
    peer.say(frame(Kind.CONTINUATION, END_HEADERS, 1, OPENING), headers(1, OPENING), end(1))
    assert await drained(call) == []


async def test_goaway_in_mid_flight_ends_only_what_was_not_taken_on() -> None:
    peer = Peer()
    first, second = peer.call(), peer.call()
    peer.say(headers(1, OPENING), data(1, message(b"one")))
    peer.say(frame(Kind.GOAWAY, 0, 0, struct.pack(">LL", 1, 0)))
    assert not peer.connection.has_room
    with pytest.raises(CallError) as lost:
        await second.read()
    assert lost.value.status is StatusCode.UNAVAILABLE
    assert not peer.wire.is_closed
    peer.say(data(1, message(b"two")), end(1))
    assert await drained(first) == [b"one", b"two"]


async def test_goaway_with_nothing_open_closes() -> None:
    peer = Peer()
    peer.say(frame(Kind.GOAWAY, 0, 0, struct.pack(">LL", 0, 0)))
    assert peer.wire.is_closed


async def test_settings_in_mid_flight_are_acknowledged_and_obeyed() -> None:
    peer = Peer()
    await peer.sent()
    call = peer.call(b"x" * 100_000)  # beyond the default window of 65,535 bytes
    sent = sum(len(payload) for kind, _, _, payload in await peer.sent() if kind == Kind.DATA)
    assert sent == 65_535
    peer.say(settings_frame(((Setting.INITIAL_WINDOW_SIZE, 200_000), (Setting.MAX_FRAME_SIZE, 20_000))))
    found = await peer.sent()
    assert (Kind.SETTINGS, ACK, 0, b"") in found
    assert not [one for one in found if one[0] == Kind.DATA]  # the connection's window is still used up
    peer.say(window_update(0, 1_000_000))
    pieces = [(flags, payload) for kind, flags, _, payload in await peer.sent() if kind == Kind.DATA]
    assert sum(len(payload) for _, payload in pieces) == 100_005 - 65_535
    assert max(len(payload) for _, payload in pieces) == 20_000
    assert [flags for flags, _ in pieces][-1] == END_STREAM
    assert call.unsent == b""


async def test_a_window_that_shrinks_below_zero_holds_back_until_it_is_positive_again() -> None:
    """RFC 9113, section 6.9.2: a change of the initial window may leave a stream's window negative."""
    peer = Peer()
    await peer.sent()
    call = peer.call(b"x" * 100_000)
    await peer.sent()
    peer.say(window_update(0, 1_000_000), settings_frame(((Setting.INITIAL_WINDOW_SIZE, 10_000),)))
    assert call.window == 10_000 - 65_535
    assert not [one for one in await peer.sent() if one[0] == Kind.DATA]
    peer.say(window_update(1, 65_535))
    assert [len(payload) for kind, _, _, payload in await peer.sent() if kind == Kind.DATA] == [10_000]


async def test_a_used_up_connection_window_holds_every_stream_back() -> None:
    peer = Peer()
    await peer.sent()
    calls = [peer.call(b"x" * 40_000) for _ in range(3)]
    sent = [len(payload) for kind, _, _, payload in await peer.sent() if kind == Kind.DATA]
    assert sum(sent) == 65_535
    peer.say(window_update(0, 200_000))
    sent += [len(payload) for kind, _, _, payload in await peer.sent() if kind == Kind.DATA]
    assert sum(sent) == 3 * 40_005
    assert not any(call.unsent for call in calls)


async def test_a_slow_reader_gives_no_credit() -> None:
    peer = Peer()
    call = peer.call()
    await peer.sent()
    peer.say(headers(1, OPENING), *(data(1, message(b"x" * 10_000)) for _ in range(20)))
    assert not [one for one in await peer.sent() if one[0] == Kind.WINDOW_UPDATE]
    for _ in range(20):
        await call.read()
    credited = [one for one in await peer.sent() if one[0] == Kind.WINDOW_UPDATE and one[2] == 1]
    assert sum(int.from_bytes(payload, "big") for *_, payload in credited) >= WINDOW // 2


async def test_more_calls_than_the_peer_allows_are_not_offered() -> None:
    peer = Peer()
    peer.say(settings_frame(((Setting.MAX_CONCURRENT_STREAMS, 2),)))
    peer.call()
    assert peer.connection.has_room
    second = peer.call()
    assert not peer.connection.has_room
    second.cancel()
    assert peer.connection.has_room


@pytest.mark.parametrize(
    ("block", "status"),
    [
        (header(b"grpc-status", b"8") + header(b"grpc-message", b"full%21"), StatusCode.RESOURCE_EXHAUSTED),
        (header(b"grpc-status", b"99"), StatusCode.UNKNOWN),
        (b"\x8d", StatusCode.UNIMPLEMENTED),  # :status 404
        (b"\x8e", StatusCode.UNAVAILABLE),  # :status 500
    ],
)
async def test_every_end_that_headers_can_tell(block: bytes, status: StatusCode) -> None:
    peer = Peer()
    call = peer.call()
    peer.say(end(1, block))
    with pytest.raises(CallError) as ended:
        await call.read()
    assert ended.value.status is status
    assert peer.connection.has_room


@pytest.mark.parametrize(
    ("frames", "status"),
    [
        (reset(1, Reset.REFUSED_STREAM), StatusCode.UNAVAILABLE),
        (reset(1, Reset.CANCEL), StatusCode.CANCELLED),
        (reset(1, Reset.ENHANCE_YOUR_CALM), StatusCode.RESOURCE_EXHAUSTED),
        (frame(Kind.RST_STREAM, 0, 1, struct.pack(">L", 12345)), StatusCode.UNAVAILABLE),
        (data(1, message(b"cut")[:6], END_STREAM), StatusCode.UNAVAILABLE),
        (data(1, b"\x01" + message(b"zip")[1:]), StatusCode.INTERNAL),  # compressed, which nobody asked for
    ],
)
async def test_every_other_end(frames: bytes, status: StatusCode) -> None:
    peer = Peer()
    call = peer.call()
    peer.say(headers(1, OPENING), frames)
    with pytest.raises(CallError) as ended:
        await call.read()
    assert ended.value.status is status


async def test_frames_for_streams_that_are_gone_are_harmless() -> None:
    peer = Peer()
    gone = peer.call()
    gone.cancel()
    assert (Kind.RST_STREAM, 0, 1, Reset.CANCEL.to_bytes(4, "big")) in await peer.sent()
    here = peer.call()
    peer.say(headers(1, OPENING), data(1, message(b"late")), end(1), reset(1, Reset.CANCEL), window_update(1, 5))
    peer.say(headers(3, OPENING), data(3, message(b"mine")), end(3))
    assert await drained(here) == [b"mine"]


async def test_a_connection_that_breaks_ends_every_call() -> None:
    peer = Peer()
    calls = [peer.call() for _ in range(3)]
    peer.connection.connection_lost(ConnectionResetError())
    for call in calls:
        with pytest.raises(CallError) as lost:
            await call.read()
        assert lost.value.status is StatusCode.UNAVAILABLE
    with pytest.raises(ConnectionResetError):
        await peer.connection.greeted


@pytest.mark.parametrize(
    "frames",
    [
        headers(1, b"\xff\xff\xff\xff"),  # no HPACK
        headers(1, header(b"grpc-status", b"zero"), END_HEADERS | END_STREAM),
        headers(1, header(b":status", b"fine"), END_HEADERS | END_STREAM),
        headers(1, b"", END_HEADERS | PADDED),  # no room for the length of the padding
        data(1, bytes((9,)) + b"short", PADDED),  # more padding than there is payload
        headers(1, bytes((200,)) + OPENING, END_HEADERS | PADDED),
    ],
)
async def test_a_peer_that_breaks_the_protocol_is_left(frames: bytes) -> None:
    """RFC 9113, section 5.4.1: a fault of the connection closes it, and its calls are lost."""
    peer = Peer()
    call = peer.call()
    peer.say(frames)
    assert peer.wire.is_closed
    peer.connection.connection_lost(None)
    with pytest.raises(CallError) as lost:
        await call.read()
    assert lost.value.status is StatusCode.UNAVAILABLE
    peer.connection.greeted.exception()


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 255), st.integers(0, 5), st.binary(max_size=40))))
@settings(max_examples=100, deadline=None)
def test_no_frame_raises(frames: list[tuple[int, int, int, bytes]]) -> None:
    """Whatever comes, a call ends or waits; nothing is raised into the event loop, where nobody would see it."""

    async def run() -> None:
        peer = Peer()
        calls = [peer.call(), peer.call()]
        for kind, flags, stream, payload in frames:
            if not peer.wire.is_closed:
                peer.say(frame(cast(Any, kind), flags, stream, payload))
        for call in calls:
            call.cancel()
        peer.connection.close()
        if peer.connection.greeted.done():
            peer.connection.greeted.exception()

    asyncio.run(run())
