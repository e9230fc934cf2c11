"""The HTTP door's listener: uvicorn with limits on what a connection may cost before its request is complete.

`serve.app` starts and stops it. A connection has `read_timeout_s` to send a whole request and `max_header_bytes` for
its head, and there are at most `max_connections`. A request beyond a limit is answered in OpenAI's form if that is
still possible, and the connection is closed. `serve.doors.http_api.asgi.read_json_body` limits bodies.

uvicorn has no public interface for this, so its private protocol is overridden. pyproject.toml therefore allows only
the minor version with which the tests ran.
"""

import asyncio
import contextlib
import math
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import httptools
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serve.access.tls import uvicorn_arguments
from serve.doors.http_api.asgi import ClientDisconnect, error_headers
from serve.doors.http_api.transports import Beginning, Unchunked
from serve.doors.http_api.upgrade import head_without_offer, new_parser
from serve.doors.openai_api.errors import OPENAI_ERRORS
from serve.errors import (
    DeadlineExceeded,
    HeadersTooLarge,
    InvalidRequest,
    MalformedBody,
    MethodNotAllowed,
    MoegateError,
)
from serve.settings.doors import HttpSettings
from serve.settings.tree import Settings
from serve.workers.sockets import address, listen

_LINGER_S: Final = 1.0  # how long a refused client has to read the answer


class HttpServer(uvicorn.Server):
    """Uvicorn without its own signal handling, because `serve.app` handles signals."""

    def __init__(self, app: ASGIApp, settings: Settings, *, is_shared: bool = False) -> None:
        config = uvicorn.Config(
            app,
            host=settings.http.host,
            port=settings.http.port,
            loop="none",
            http=partial(_BoundedProtocol, bounds=settings.http),  # type: ignore[arg-type]  # called like the class
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,  # nothing here asks for the client's address
            timeout_keep_alive=settings.http.keep_alive_s,
            timeout_graceful_shutdown=math.ceil(settings.shutdown_grace_s)
            + 1,  # `serve.admission.drain` ends requests before that
            **uvicorn_arguments(settings.tls),
        )
        super().__init__(config)
        self._tls = settings.tls
        self._is_shared = is_shared
        self._task: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to `serve.app`."""
        yield

    async def start(self) -> str:
        """Listen. Returns the address, `host:port`.

        Raises:
            OSError: the port is taken.
        """
        listener = listen(self.config.host, self.config.port, is_shared=self._is_shared)
        self._task = asyncio.create_task(self.serve([listener]))
        while not self.started:
            if self._task.done():
                self._task.result()
            await asyncio.sleep(0.01)
        return address(self.config.host, listener.getsockname()[1])

    def show_certificate(self) -> None:
        """Show the certificate that the files hold now to whoever connects from here on."""
        if self.config.ssl is not None and self._tls.certificate is not None:
            self.config.ssl.load_cert_chain(self._tls.certificate, self._tls.key)

    async def stop(self) -> None:
        """Refuse new connections, let open requests finish within the grace, then cancel them."""
        self.should_exit = True
        if self._task is not None:
            await self._task


class _BoundedProtocol(HttpToolsProtocol):
    """One connection, with its bounds."""

    def __init__(self, bounds: HttpSettings, **named: Any) -> None:  # noqa: ANN401  # uvicorn's, passed on
        super().__init__(**named)
        self._bounds = bounds
        self._head_bytes = 0  # since the last of a body, or of a request
        self._is_reading_head = True
        self._is_reading = True
        self._read_by: asyncio.TimerHandle | None = None
        self._is_refused = False
        self._refusal: MoegateError | None = None  # one that waits until the answers before it are out
        self._departure = ClientDisconnect()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Accept a connection, unless there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self._bounds.max_connections:
            transport.abort()
        self._start_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._stop_reading()
        super().connection_lost(exc)
        self._departure.happen()

    def data_received(self, data: bytes) -> None:
        """Parse. Endless heads, trailers and chunk extensions are cut off here, before their bytes pile up."""
        if self._is_refused:
            return
        self._head_bytes += len(data)
        self._unset_keepalive_if_required()
        self._parse(data)
        if self._is_reading and self._head_bytes > self._bounds.max_header_bytes:
            self._refuse(HeadersTooLarge("the request's headers are too large"))
        elif self._is_reading and not self._is_refused:  # a request that comes in one piece costs no timer
            self._start_reading()

    def _parse(self, data: bytes) -> None:
        """Feed the parser; read an offer to upgrade as if it were not there."""
        try:
            while data:
                try:
                    self.parser.feed_data(data)
                    return
                except httptools.HttpParserUpgrade as offer:
                    data = data[offer.args[0] :]
                    if self._is_refused:
                        return
                    self._decline_upgrade()
        except httptools.HttpParserError:
            self._refuse(MalformedBody("the request is not valid HTTP"))

    def _decline_upgrade(self) -> None:
        """Read the head again, without the offer, with a new parser that has not ended the request."""
        version = self.parser.get_http_version()
        head = head_without_offer(self.parser.get_method(), self.url, version, self.headers)
        self.parser = new_parser(self)
        self.parser.feed_data(head)

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self.scope["state"]["departure"] = self._departure
        self._is_reading = True

    def on_headers_complete(self) -> None:
        """Its head is here."""
        if self._is_refused:
            return
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                self._refuse(MethodNotAllowed("this is no proxy"))
            return  # its head comes again: `_decline_upgrade`
        if not self._is_within_bounds():
            return
        super().on_headers_complete()
        self._is_reading_head, self._head_bytes = False, 0
        self.scope["headers"] = self.headers.copy()  # trailers, which the parser tells like headers, are none
        if self.scope["http_version"] < "1.1":  # it knows neither 100 Continue nor chunks
            self.cycle.waiting_for_100_continue = False
            self.cycle.transport = Unchunked(self.cycle.transport)  # type: ignore[assignment]  # see `Writable`
        if self.scope["method"] == "POST":
            self.cycle.transport = Beginning(self.cycle)  # type: ignore[assignment]  # likewise

    def _is_within_bounds(self) -> bool:
        """Check a head that is here; one that breaks a rule is refused."""
        size, hosts = len(self.url), 0
        for name, value in self.headers:
            size += len(name) + len(value)
            hosts += name == b"host"
        if size > self._bounds.max_header_bytes:
            self._refuse(HeadersTooLarge("the request's headers are too large"))
        elif hosts > 1 or (hosts == 0 and self.parser.get_http_version() >= "1.1"):  # RFC 9112, section 3.2
            self._refuse(InvalidRequest("a request has exactly one 'host' header", param="host"))
        return not self._is_refused

    def on_body(self, body: bytes) -> None:
        """Part of its body is here."""
        self._head_bytes = 0
        if not self._is_refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """All of it is here."""
        if self.parser.should_upgrade():
            return
        self._stop_reading()
        self._is_reading, self._is_reading_head, self._head_bytes = False, True, 0
        if not self._is_refused:
            super().on_message_complete()
            if not self.pipeline:  # a large body may have paused it, and who does not read learns of no departure
                self.flow.resume_reading()

    def _start_reading(self) -> None:
        if self._read_by is None:
            self._read_by = self.loop.call_later(self._bounds.read_timeout_s, self._too_slow)

    def _stop_reading(self) -> None:
        if self._read_by is not None:
            self._read_by.cancel()
            self._read_by = None

    def _too_slow(self) -> None:
        self._read_by = None
        if self._is_reading_head and self._is_answering():
            self._start_reading()  # a pipelined request waits behind a long answer: not its client's fault
        else:
            self._refuse(DeadlineExceeded("the request took too long to arrive"))

    def _is_answering(self) -> bool:
        """Whether a complete request still waits for the end of its answer."""
        return self.cycle is not None and not self.cycle.response_complete

    def on_response_complete(self) -> None:
        """An answer has been sent; send the refusal that waited behind it."""
        is_last = not self.pipeline
        super().on_response_complete()
        if is_last and self._refusal is not None and not self.transport.is_closing():
            self._answer(self._refusal)

    def _refuse(self, error: MoegateError) -> None:
        """Answer a malformed request and close, after the answers to the requests before it."""
        if self._is_refused:
            return
        self._is_refused = True
        self._stop_reading()
        if self._is_reading_head:  # the fault is in a head: all that was read before it is somebody else's
            is_next = not self._is_answering()
        elif self.pipeline:  # it is in the body of a request that waits
            self.pipeline.popleft()
            is_next = False
        elif self.cycle.response_started:  # it is in the body of one that has its answer, or part of it
            self._linger() if self.cycle.response_complete else self.transport.close()
            return
        else:
            self.cycle.disconnected, is_next = True, True  # its application has nobody to answer
            self.cycle.message_event.set()
        if is_next:
            self._answer(error)
        else:
            self._refusal = error

    def _answer(self, error: MoegateError) -> None:
        body = OPENAI_ERRORS.body(error)
        headers = [*error_headers(error), (b"content-length", str(len(body)).encode()), (b"connection", b"close")]
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        self.transport.write(b"HTTP/1.1 %d Refused\r\n%s\r\n%s" % (error.http_status, lines, body))
        self._linger()

    def _linger(self) -> None:
        """Close in a way that lets the client read the answer: closing with its bytes unread would reset it."""
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._read_by = self.loop.call_later(_LINGER_S, self.transport.close)
