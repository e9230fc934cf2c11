"""Stand-ins for a connection's transport while one answer is written: they change how uvicorn's output is sent.

Both look only at the bytes of HTTP, not at uvicorn's state.
"""

import asyncio
from typing import Final, Protocol

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

_CHUNKED: Final = b"transfer-encoding: chunked\r\n"


class Writable(Protocol):
    """What a cycle needs of a transport."""

    def write(self, data: bytes) -> None:
        """Send bytes."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...

    def is_closing(self) -> bool:
        """Whether it is on its way out."""
        ...


class Beginning:
    """Holds an answer's head back until its first piece, so that both leave in one write; then steps aside.

    Not for HEAD, whose answers have no piece.
    """

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle
        self._transport = cycle.transport
        self._head = b""

    def write(self, data: bytes) -> None:
        """Hold the head back; send it with what comes next, and step aside."""
        if not self._cycle.response_started:  # 100 Continue
            self._transport.write(data)
        elif not self._head:
            self._head = data
        else:
            self._cycle.transport = self._transport
            self._transport.write(self._head + data)

    def close(self) -> None:
        """Close the connection; a head alone would be no answer."""
        self._transport.close()

    def is_closing(self) -> bool:
        """Whether the connection is on its way out."""
        return self._transport.is_closing()


class Unchunked:
    """Removes chunk framing for a client of HTTP/1.0: there the connection's end is the answer's end.

    RFC 9112 section 6.1: a server must not send `Transfer-Encoding` to a client of an earlier version than 1.1.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._is_head, self._is_chunked = True, False

    def write(self, data: bytes) -> None:
        """Send the head without `Transfer-Encoding`, then what the chunks hold."""
        head = b""
        if self._is_head:
            head, end, data = data.partition(b"\r\n\r\n")
            lines = head + b"\r\n"
            self._is_head, self._is_chunked = False, _CHUNKED in lines
            head = lines.replace(_CHUNKED, b"") + end[2:]
        self._transport.write(head + (_unchunked(data) if self._is_chunked else data))

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    def is_closing(self) -> bool:
        """Whether the connection is on its way out."""
        return self._transport.is_closing()


def _unchunked(data: bytes) -> bytes:
    """Return the content of complete chunks."""
    content = []
    while data:
        size, _, data = data.partition(b"\r\n")
        content.append(data[: int(size, 16)])
        data = data[int(size, 16) + 2 :]
    return b"".join(content)
