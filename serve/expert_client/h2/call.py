"""One call: a request sent, messages read until the status comes."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, Generic, Protocol, TypeVar
from urllib.parse import unquote

from grpc import StatusCode

from serve.expert_client.h2.frames import FrameError, Reset

WINDOW: Final = 256 * 2**10  # bytes that an expert may be ahead of our reader, by stream

_STATUSES: Final = {status.value[0]: status for status in StatusCode}
_HTTP: Final = {401: StatusCode.UNAUTHENTICATED, 403: StatusCode.PERMISSION_DENIED, 404: StatusCode.UNIMPLEMENTED}
_RESETS: Final = {Reset.CANCEL: StatusCode.CANCELLED, Reset.ENHANCE_YOUR_CALM: StatusCode.RESOURCE_EXHAUSTED}

Message = TypeVar("Message")


class CallError(Exception):
    """A call ended with an error. `details` are the peer's words: read them, never pass them on."""

    def __init__(self, status: StatusCode, details: str = "") -> None:
        super().__init__(status)
        self.status = status
        self.details = details


class Sender(Protocol):
    """The connection, as a call sees it."""

    def end(self, stream: int, why: Reset | None) -> None:
        """Forget a stream; tell the peer why, unless it has ended by itself."""
        ...

    def credit(self, stream: int, size: int) -> None:
        """Let the peer send so many more bytes on a stream."""
        ...


class Call(Generic[Message]):
    """A stream of messages, read one by one.

    Attributes:
        unsent: what of the request could not be sent yet, for want of window.
        window: bytes that may be sent to the peer.
    """

    def __init__(
        self, stream: int, connection: Sender, parse: Callable[[bytes], Message], *, timeout_s: float, window: int
    ) -> None:
        self._stream = stream
        self._connection = connection
        self._parse = parse
        self._loop = asyncio.get_running_loop()
        self._ready: deque[Message] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._partial = b""
        self._consumed = self._advanced = 0  # bytes to credit; bytes of `_partial` that have been credited already
        self._sizes: deque[int] = deque()
        self._end: CallError | None = None
        self._has_ended = self._is_woken = False
        self.unsent = b""
        self.window = window
        self._deadline = self._loop.call_later(timeout_s, self._overdue)

    @property
    def is_ready(self) -> bool:
        """Whether a message can be read without waiting."""
        return bool(self._ready)

    async def read(self) -> Message | None:
        """The next message; None if the call has ended without an error, or was woken before one came.

        Raises:
            CallError: it has ended otherwise.
        """
        while not self._ready:
            if self._has_ended:
                if self._end is not None:
                    raise self._end
                return None
            if self._is_woken:
                self._is_woken = False
                return None
            self._waiter = self._loop.create_future()
            await self._waiter
        self._consumed += self._sizes.popleft()
        if self._consumed >= WINDOW // 2 and not self._has_ended:
            self._connection.credit(self._stream, self._consumed)
            self._consumed = 0
        return self._ready.popleft()

    def wake(self) -> None:
        """Have the read that waits, or the next one that would, return None."""
        self._is_woken = True
        self._wake()

    def cancel(self) -> None:
        """End the call; one that has ended stays as it is."""
        self._finish(CallError(StatusCode.CANCELLED), Reset.CANCEL)

    def data(self, payload: bytes) -> None:
        """Add a piece of the messages. Each message is a flag, four bytes of length, and its bytes."""
        data = self._partial + payload if self._partial else payload
        at = 0
        while len(data) - at >= 5:
            end = at + 5 + int.from_bytes(data[at + 1 : at + 5], "big")
            if end > len(data):
                break
            if data[at]:
                self._finish(CallError(StatusCode.INTERNAL, "compressed"), Reset.CANCEL)
                return
            self._ready.append(self._parse(data[at + 5 : end]))
            self._sizes.append(end - at - self._advanced)
            at, self._advanced = end, 0
        self._partial = data[at:]
        if len(self._partial) > WINDOW // 2 + self._advanced:  # a message larger than the window must come in, too
            self._connection.credit(self._stream, len(self._partial) - self._advanced)
            self._advanced = len(self._partial)
        if self._ready:
            self._wake()

    def trailers(self, headers: dict[str, str]) -> None:
        """Read the headers that end the call.

        Raises:
            FrameError: a status is no number.
        """
        code = headers.get("grpc-status")
        if code is None:
            http = _number(headers.get(":status", "0"))
            self._finish(CallError(_HTTP.get(http, StatusCode.UNAVAILABLE)), None)
        elif code == "0":
            self._finish(None, None)
        else:
            status = _STATUSES.get(_number(code), StatusCode.UNKNOWN)
            self._finish(CallError(status, unquote(headers.get("grpc-message", ""))), None)

    def was_reset(self, code: int) -> None:
        """The peer has ended the stream without a status."""
        self._finish(CallError(_RESETS.get(Reset(code), StatusCode.UNAVAILABLE) if code in _KNOWN else _LOST), None)

    def lost(self) -> None:
        """The connection is gone, or the peer never took the call on."""
        self._finish(CallError(_LOST), None)

    def _overdue(self) -> None:
        self._finish(CallError(StatusCode.DEADLINE_EXCEEDED), Reset.CANCEL)

    def _finish(self, end: CallError | None, why: Reset | None) -> None:
        if self._has_ended:
            return
        self._has_ended, self._end = True, end
        self._deadline.cancel()
        self._connection.end(self._stream, why)
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None:
            if not self._waiter.done():
                self._waiter.set_result(None)
            self._waiter = None


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise FrameError("a status is no number")
    return int(text)


_LOST: Final = StatusCode.UNAVAILABLE
_KNOWN: Final = frozenset(Reset)
