"""The few ASGI operations that the hot path needs: read a bounded body, answer, notice that the client disconnected.

ASGI: https://asgi.readthedocs.io/en/latest/specs/www.html
"""

import logging
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Final

from starlette.types import Receive, Scope, Send

from serve.admission.interruption import Interruption
from serve.doors.http_api.content_coding import decoder, too_large
from serve.doors.openai_api.errors import OPENAI_ERRORS
from serve.doors.wire_form import ErrorForm
from serve.errors import InternalError, MoegateError, UnsupportedMediaType
from serve.telemetry.logs import log_fault

log = logging.getLogger("moegate.http")

Header = tuple[bytes, bytes]

JSON: Final[Header] = (b"content-type", b"application/json")
EVENT_STREAM: Final[tuple[Header, ...]] = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # proxies such as nginx must not hold tokens back
)


class ClientGone(Exception):
    """The client closed the connection."""


def header(scope: Scope, name: bytes) -> bytes | None:
    """The first header of that (lower-case) name."""
    headers: Iterable[Header] = scope["headers"]
    for key, value in headers:
        if key == name:
            return value
    return None


def text_header(scope: Scope, name: str) -> str | None:
    """The same, as text."""
    value = header(scope, name.encode())
    return None if value is None else value.decode("latin-1")


class HeaderLookup:
    """A request's headers by lower-case name, as text; the first, where there are several."""

    __slots__ = ("_headers",)

    def __init__(self, scope: Scope) -> None:
        self._headers: dict[bytes, bytes] = dict(reversed(scope["headers"]))

    def __call__(self, name: str) -> str | None:
        """Look one up."""
        value = self._headers.get(name.encode())
        return None if value is None else value.decode("latin-1")


async def read_json_body(scope: Scope, receive: Receive, max_bytes: int) -> bytes:
    """Read the whole body.

    Raises:
        UnsupportedMediaType: it is declared as something other than JSON, or encoded in a way that is not read.
        PayloadTooLarge: it is longer than `max_bytes`, as it came or unpacked; the rest is not read.
        MalformedBody: it is not what its encoding says.
        ClientGone: the client left before the end.
    """
    declared = header(scope, b"content-type")
    if declared is not None and b"json" not in declared.lower():
        raise UnsupportedMediaType("send the body as JSON, with 'content-type: application/json'")
    coding = header(scope, b"content-encoding")
    decode = None if coding is None else decoder(coding)
    length = header(scope, b"content-length")
    if length is not None and int(length) > max_bytes:
        raise too_large(max_bytes)
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        body += bytes(message.get("body", b""))
        if len(body) > max_bytes:
            raise too_large(max_bytes)
        if not message.get("more_body", False):
            return body if decode is None else decode(body, max_bytes)


class ClientDisconnect(Interruption):
    """Interrupts the work for a connection when its client disconnects. One for each connection.

    The server puts it into each request's `scope["state"]`. ASGI's own way, to wait for `http.disconnect`,
    takes a task beside every request.
    """

    def __init__(self) -> None:
        super().__init__(lambda _: ClientGone())


class Reply:
    """One HTTP response. It knows whether it has begun: an error before that is a status, after it an event.

    Attributes:
        has_begun: its status has gone out.
    """

    def __init__(self, send: Send, headers: Iterable[Header] = (), errors: ErrorForm = OPENAI_ERRORS) -> None:
        self._send = send
        self._headers = tuple(headers)
        self._errors = errors
        self._last_event: Callable[[MoegateError], bytes] = errors.event
        self.has_begun = False

    def on_failure(self, last_event: Callable[[MoegateError], bytes]) -> None:
        """From now on, end a stream that breaks off with this event."""
        self._last_event = last_event

    async def begin(self, status: int, headers: Iterable[Header]) -> None:
        """Send the status and the headers; the body follows in pieces."""
        self.has_begun = True
        message = {"type": "http.response.start", "status": status, "headers": [*self._headers, *headers]}
        await self._send(message)

    async def write(self, data: bytes, *, is_last: bool = False) -> None:
        """Send a piece of the body."""
        await self._send({"type": "http.response.body", "body": data, "more_body": not is_last})

    async def whole(self, status: int, headers: Iterable[Header], body: bytes) -> None:
        """Send a response in one piece."""
        await self.begin(status, [*headers, (b"content-length", str(len(body)).encode())])
        await self.write(body, is_last=True)

    async def fail(self, error: MoegateError) -> None:
        """Send an error in its API's form, as far as the response still allows."""
        if self.has_begun:
            await self.write(self._last_event(error), is_last=True)
        else:
            await self.whole(error.http_status, error_headers(error), self._errors.body(error))


@asynccontextmanager
async def answering(reply: Reply, request_id: str | None = None) -> AsyncIterator[None]:
    """Answer whatever goes wrong in the body of the `with`: an error of the tree as such, a fault of ours as one.

    A client that is gone gets no answer. `GenerateEndpoint` does the same by itself: its path is the hot one.
    """
    try:
        yield
    except ClientGone:
        return
    except MoegateError as error:
        await reply.fail(error)
    except Exception as error:  # the door's edge: a fault of ours must still be an answer
        log_fault(log, error, request_id)
        await reply.fail(InternalError("internal error"))


def error_headers(error: MoegateError) -> list[Header]:
    """The headers of an error's response."""
    headers = [JSON, (b"x-moegate-error-code", error.code.encode())]
    if error.retry_after_s is not None:
        headers.append((b"retry-after", str(max(1, round(error.retry_after_s))).encode()))
    headers += [(name.encode(), value.encode()) for name, value in error.headers]
    return headers
