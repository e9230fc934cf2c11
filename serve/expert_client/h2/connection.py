"""One HTTP/2 connection: frames in, frames out, many calls at once."""

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

from hpack import Decoder, HPACKError

from serve.expert_client.h2 import frames
from serve.expert_client.h2.call import WINDOW, Call
from serve.expert_client.h2.frames import HEAD, HEAD_BYTES, FrameError, Kind, Reset, Setting

_OWN_WINDOW: Final = 2**30  # of the connection as a whole; streams are what is held back
_DEFAULT_WINDOW: Final = 65_535
_KNOWN_HEADERS: Final = 256  # header blocks remembered

Message = TypeVar("Message")


class Connection(asyncio.Protocol):
    """The client's end of a connection.

    Attributes:
        is_open: new calls may be made.
        greeted: done when the peer has said what it allows; fails when it never does.
    """

    def __init__(self) -> None:
        self.is_open = False
        self._loop = asyncio.get_running_loop()
        self.greeted: asyncio.Future[None] = self._loop.create_future()
        self._unwritten: list[bytes] = []
        self._calls: dict[int, Call[Any]] = {}
        self._next = 1
        self._rest = b""
        self._block: tuple[int, int, bytes] | None = None  # a header block that is not whole yet
        self._received = 0
        self._window = self._initial_window = _DEFAULT_WINDOW
        self._max_frame = 16_384
        self._max_calls = 2**31  # unless the peer says otherwise
        self._decoder = Decoder()
        self._decoder.max_allowed_table_size = self._decoder.header_table_size = 0
        self._known: dict[bytes, dict[str, str]] = {}

    @property
    def has_room(self) -> bool:
        """Whether one more call may be made."""
        return self.is_open and len(self._calls) < self._max_calls

    def call(
        self, head: bytes, message: bytes, parse: Callable[[bytes], Message], *, timeout_s: float
    ) -> Call[Message]:
        """Make a call; `head` is its whole header block."""
        stream, self._next = self._next, self._next + 2
        call = Call(stream, self, parse, timeout_s=timeout_s, window=self._initial_window)
        self._calls[stream] = call
        body = b"\x00" + len(message).to_bytes(4, "big") + message
        opening = frames.frame(Kind.HEADERS, frames.END_HEADERS, stream, head)
        if len(body) <= min(self._window, call.window, self._max_frame):
            self._window -= len(body)
            self._write(opening + frames.frame(Kind.DATA, frames.END_STREAM, stream, body))
        else:
            self._write(opening)
            call.unsent = body
            self._send_rest(stream, call)
        self.is_open = self.is_open and self._next < 2**31
        return call

    def close(self) -> None:
        """Close it; calls still open end as lost."""
        self.is_open = False
        self._transport.close()

    def end(self, stream: int, why: Reset | None) -> None:
        """Forget an ended call; reset its stream if a reason is given."""
        self._calls.pop(stream, None)
        if why is not None:
            self._write(frames.reset(stream, why))

    def credit(self, stream: int, size: int) -> None:
        """Allow the expert to send `size` more bytes on a stream."""
        self._write(frames.window_update(stream, size))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say who we are: no table of headers to keep, no pushes, how far an expert may be ahead."""
        self._transport = cast(asyncio.Transport, transport)
        self.is_open = True
        wanted = ((Setting.HEADER_TABLE_SIZE, 0), (Setting.ENABLE_PUSH, 0), (Setting.INITIAL_WINDOW_SIZE, WINDOW))
        raised = frames.window_update(0, _OWN_WINDOW - _DEFAULT_WINDOW)
        self._write(frames.PREFACE + frames.settings(wanted) + raised)

    def connection_lost(self, exc: Exception | None) -> None:
        """End every call."""
        self.is_open = False
        if not self.greeted.done():
            self.greeted.set_exception(ConnectionResetError("the peer does not speak HTTP/2"))
        for call in list(self._calls.values()):
            call.lost()

    def data_received(self, data: bytes) -> None:
        """Read all complete frames. If the peer breaks the protocol, close (RFC 9113, section 5.4.1)."""
        try:
            self._take_in(self._rest + data if self._rest else data)
        except (FrameError, HPACKError, UnicodeDecodeError):
            self.close()

    def _take_in(self, data: bytes) -> None:
        at, size = 0, len(data)
        while size - at >= HEAD_BYTES:
            upper, lower, kind, flags, stream = HEAD.unpack_from(data, at)
            end = at + HEAD_BYTES + (upper << 8 | lower)
            if end > size:
                break
            if kind == Kind.DATA:
                self._on_data(flags, stream, data[at + HEAD_BYTES : end])
            else:
                self._on_other(kind, flags, stream, data[at + HEAD_BYTES : end])
            at = end
        self._rest = data[at:]

    def _write(self, data: bytes) -> None:
        """Send soon: what all calls write in one turn of the event loop is sent together."""
        if not self._unwritten:
            self._loop.call_soon(self._flush)
        self._unwritten.append(data)

    def _flush(self) -> None:
        data, self._unwritten = b"".join(self._unwritten), []
        if not self._transport.is_closing():
            self._transport.write(data)

    def _on_data(self, flags: int, stream: int, payload: bytes) -> None:
        self._received += len(payload)
        if self._received >= _OWN_WINDOW // 2:
            self._write(frames.window_update(0, self._received))
            self._received = 0
        call = self._calls.get(stream)
        if call is not None:
            call.data(frames.unpadded(flags, payload))
            if flags & frames.END_STREAM:
                call.lost()  # without a status

    def _on_other(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        match kind:
            case Kind.HEADERS:
                skipped = 5 if flags & frames.PRIORITY else 0
                self._on_block(flags, flags, stream, frames.unpadded(flags, payload)[skipped:])
            case Kind.CONTINUATION if self._block is not None:
                begun, first_flags, block = self._block
                self._on_block(first_flags, flags, begun, block + payload)
            case Kind.RST_STREAM if stream in self._calls:
                self._calls[stream].was_reset(int.from_bytes(payload, "big"))
            case Kind.SETTINGS if not flags & frames.ACK:
                self._on_settings(payload)
            case Kind.PING if not flags & frames.ACK:
                self._write(frames.frame(Kind.PING, frames.ACK, 0, payload))
            case Kind.GOAWAY:
                self._on_goaway(int.from_bytes(payload[:4], "big"))
            case Kind.WINDOW_UPDATE:
                self._on_window(stream, int.from_bytes(payload, "big"))

    def _on_block(self, first_flags: int, flags: int, stream: int, block: bytes) -> None:
        if not flags & frames.END_HEADERS:
            self._block = (stream, first_flags, block)
            return
        self._block = None
        headers = self._headers(block)
        call = self._calls.get(stream)
        if call is not None and first_flags & frames.END_STREAM:
            call.trailers(headers)
        elif call is not None and headers.get(":status") != "200":
            call.trailers(headers)
            self._write(frames.reset(stream, Reset.CANCEL))

    def _headers(self, block: bytes) -> dict[str, str]:
        """Decode a block; the same bytes always mean the same, since neither side keeps a table."""
        known = self._known.get(block)
        if known is None:
            known = {str(name): str(value) for name, value in self._decoder.decode(block)}
            if len(self._known) < _KNOWN_HEADERS:
                self._known[block] = known
        return known

    def _on_settings(self, payload: bytes) -> None:
        for at in range(0, len(payload) - 5, 6):
            key = int.from_bytes(payload[at : at + 2], "big")
            value = int.from_bytes(payload[at + 2 : at + 6], "big")
            match key:
                case Setting.MAX_CONCURRENT_STREAMS:
                    self._max_calls = value
                case Setting.MAX_FRAME_SIZE:
                    self._max_frame = value
                case Setting.INITIAL_WINDOW_SIZE:
                    for call in self._calls.values():
                        call.window += value - self._initial_window
                    self._initial_window = value
        self._write(frames.frame(Kind.SETTINGS, frames.ACK, 0, b""))
        if not self.greeted.done():
            self.greeted.set_result(None)
        self._send_all()

    def _on_goaway(self, last: int) -> None:
        """Make no more calls here; those that the peer did not take on are lost."""
        self.is_open = False
        for stream, call in list(self._calls.items()):
            if stream > last:
                call.lost()
        if not self._calls:
            self._transport.close()

    def _on_window(self, stream: int, credit: int) -> None:
        if stream == 0:
            self._window += credit
        elif (call := self._calls.get(stream)) is not None:
            call.window += credit
        self._send_all()

    def _send_all(self) -> None:
        for stream, call in list(self._calls.items()):
            if call.unsent:
                self._send_rest(stream, call)

    def _send_rest(self, stream: int, call: Call[Any]) -> None:
        """Send as much of a request as there is window for."""
        while call.unsent and (size := min(self._window, call.window, self._max_frame, len(call.unsent))) > 0:
            piece, call.unsent = call.unsent[:size], call.unsent[size:]
            self._window -= size
            call.window -= size
            self._write(frames.frame(Kind.DATA, 0 if call.unsent else frames.END_STREAM, stream, piece))
