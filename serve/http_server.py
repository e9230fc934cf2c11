"""The HTTP door's listener: uvicorn with bounds on what a connection may cost before it has said anything useful.

`serve.app` starts and stops it. A connection has `read_timeout_s` to hand over a whole request, `max_header_bytes` for
its head, and there are at most `max_connections`; what breaks a bound is answered in OpenAI's form where that is still
possible, and closed. Bodies are bounded by the application (`serve.asgi.read_json_body`).
"""

import asyncio
import contextlib
import math
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from serve.asgi import Departure, error_headers
from serve.errors import DeadlineExceeded, HeadersTooLarge, MalformedBody, MoegateError
from serve.listening import listen
from serve.openai_response import error_body
from serve.settings import HttpSettings, Settings
from serve.tls import uvicorn_arguments

_LINGER_S: Final = 1.0  # how long a refused client has to read the answer


class HttpServer(uvicorn.Server):
    """Uvicorn, without its own signal handling: the process has one owner."""

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
            + 1,  # `serve.drain` ends requests before that
            **uvicorn_arguments(settings.tls),
        )
        super().__init__(config)
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
        return f"{self.config.host}:{listener.getsockname()[1]}"

    async def stop(self) -> None:
        """Refuse new connections, let open requests finish within the grace, then cancel them."""
        self.should_exit = True
        if self._task is not None:
            await self._task


class _Beginning:
    """Stands in for the transport until an answer has begun: its head leaves with its first piece, in one write.

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


class _BoundedProtocol(HttpToolsProtocol):
    """One connection, with its bounds."""

    def __init__(self, bounds: HttpSettings, **named: Any) -> None:  # noqa: ANN401  # uvicorn's, passed on
        super().__init__(**named)
        self._bounds = bounds
        self._head_bytes = 0
        self._is_reading_head = True
        self._is_reading = True
        self._read_by: asyncio.TimerHandle | None = None
        self._is_refused = False
        self._departure = Departure()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Take a connection on, unless there are too many."""
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
        """Parse; a head that goes on and on ends here, before its bytes pile up."""
        if self._is_refused:
            return
        if self._is_reading_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._is_reading_head and self._head_bytes > self._bounds.max_header_bytes:
            self._refuse(HeadersTooLarge("the request's headers are too large"))
        elif self._is_reading and not self._is_refused:  # a request that comes in one piece costs no timer
            self._start_reading()

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self.scope["state"]["departure"] = self._departure
        self._is_reading = True

    def on_headers_complete(self) -> None:
        """Its head is here."""
        self._is_reading_head, self._head_bytes = False, 0
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > self._bounds.max_header_bytes:
            self._refuse(HeadersTooLarge("the request's headers are too large"))
            return
        super().on_headers_complete()
        if self.scope["method"] == "POST":
            self.cycle.transport = _Beginning(self.cycle)  # type: ignore[assignment]  # all that a cycle asks of one

    def on_body(self, body: bytes) -> None:
        """Part of its body is here."""
        if not self._is_refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """All of it is here."""
        self._stop_reading()
        self._is_reading, self._is_reading_head = False, True
        if not self._is_refused:
            super().on_message_complete()
            if not self.pipeline:  # a large body may have paused it, and who does not read learns of no departure
                self.flow.resume_reading()

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP."""
        self._refuse(MalformedBody("the request is not valid HTTP"))

    def _start_reading(self) -> None:
        if self._read_by is None:
            self._read_by = self.loop.call_later(self._bounds.read_timeout_s, self._too_slow)

    def _stop_reading(self) -> None:
        if self._read_by is not None:
            self._read_by.cancel()
            self._read_by = None

    def _too_slow(self) -> None:
        self._read_by = None
        if self._is_answering():  # a pipelined request waits behind a long answer: not its client's fault
            self._start_reading()
        else:
            self._refuse(DeadlineExceeded("the request took too long to arrive"))

    def _is_answering(self) -> bool:
        return self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete

    def _refuse(self, error: MoegateError) -> None:
        """Answer and close; say nothing in the middle of another answer."""
        if self._is_refused:
            return
        self._is_refused = True
        self._stop_reading()
        if self._is_answering():
            self.transport.close()
            return
        body = error_body(error)
        headers = [*error_headers(error), (b"content-length", str(len(body)).encode()), (b"connection", b"close")]
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        self.transport.write(b"HTTP/1.1 %d Refused\r\n%s\r\n%s" % (error.http_status, lines, body))
        self._linger()

    def _linger(self) -> None:
        """Close in a way that lets the client read the answer: closing with its bytes unread would reset it."""
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._read_by = self.loop.call_later(_LINGER_S, self.transport.close)
