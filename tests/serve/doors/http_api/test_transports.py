"""Stand-ins for a transport: what leaves together, and what a client of HTTP/1.0 is spared."""

from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve.doors.http_api.transports import Beginning, Unchunked

HEAD = b"HTTP/1.1 200 OK\r\na: b\r\n\r\n"


class Wire:
    """A transport that keeps what is written to it, write by write."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.is_closed = False

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed


class Cycle:
    """A cycle of uvicorn's, as far as a transport sees it."""

    def __init__(self) -> None:
        self.wire = Wire()
        self.transport: Any = self.wire
        self.response_started = True


def old_client(wire: Wire) -> Unchunked:
    return Unchunked(cast(Any, wire))


def beginning(cycle: Cycle) -> Beginning:
    cycle.transport = stand_in = Beginning(cast(Any, cycle))
    return stand_in


class TestBeginning:
    def test_head_and_first_piece_leave_in_one_write_and_then_it_steps_aside(self) -> None:
        cycle = Cycle()
        stand_in = beginning(cycle)
        stand_in.write(HEAD)
        assert cycle.wire.written == []
        stand_in.write(b"first")
        assert cycle.wire.written == [HEAD + b"first"]
        assert cycle.transport is cycle.wire
        cycle.transport.write(b"second")
        assert cycle.wire.written == [HEAD + b"first", b"second"]

    def test_100_continue_is_not_held_back_and_is_no_head(self) -> None:
        cycle = Cycle()
        cycle.response_started = False
        stand_in = beginning(cycle)
        stand_in.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert cycle.wire.written == [b"HTTP/1.1 100 Continue\r\n\r\n"]
        cycle.response_started = True
        stand_in.write(HEAD)
        stand_in.write(b"first")
        assert cycle.wire.written[1:] == [HEAD + b"first"]

    def test_a_head_alone_is_no_answer(self) -> None:
        cycle = Cycle()
        stand_in = beginning(cycle)
        stand_in.write(HEAD)
        stand_in.close()
        assert stand_in.is_closing()
        assert cycle.wire.is_closed
        assert cycle.wire.written == []


@pytest.mark.parametrize("rest", [b"", b"5\r\nhello\r\n"])
def test_an_answer_of_known_length_is_left_alone(rest: bytes) -> None:
    wire = Wire()
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n"
    unchunked = old_client(wire)
    unchunked.write(head + rest)
    unchunked.write(b"5\r\nworld\r\n")
    assert b"".join(wire.written) == head + rest + b"5\r\nworld\r\n", "it is what it looks like"


def test_a_first_piece_beside_the_head_is_taken_apart_as_well() -> None:
    wire = Wire()
    old_client(wire).write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
    assert b"".join(wire.written) == b"HTTP/1.1 200 OK\r\n\r\nhello"


def test_the_end_is_the_connections() -> None:
    wire = Wire()
    unchunked = old_client(wire)
    assert not unchunked.is_closing()
    unchunked.close()
    assert unchunked.is_closing()


@settings(max_examples=50, deadline=None)
@given(pieces=st.lists(st.binary(max_size=30), max_size=5), ends=st.booleans())
def test_what_chunks_hold(pieces: list[bytes], ends: bool) -> None:
    wire = Wire()
    unchunked = old_client(wire)
    unchunked.write(b"HTTP/1.1 200 OK\r\na: b\r\ntransfer-encoding: chunked\r\n\r\n")
    for i, piece in enumerate(pieces):
        last = b"0\r\n\r\n" if ends and i == len(pieces) - 1 else b""
        unchunked.write((b"%x\r\n%s\r\n" % (len(piece), piece) if piece else b"") + last)
    assert b"".join(wire.written) == b"HTTP/1.1 200 OK\r\na: b\r\n\r\n" + b"".join(pieces)
