"""One HTTP request that another thread can cut short, by Python's own HTTP.

A read that waits for the server's next words cannot be cancelled. Shutting its socket ends it, and tells the server
that nobody listens any more.
"""

import contextlib
import http.client
import socket
import threading
import urllib.request
from functools import partial
from typing import Any


class Line:
    """The connection of one request."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._is_cut = False

    def opened(self, connected: socket.socket) -> None:
        """Take the socket, once there is one."""
        with self._lock:
            self._socket = connected
            is_cut = self._is_cut
        if is_cut:
            _shut(connected)

    def cut(self) -> None:
        """End it, from any thread."""
        with self._lock:
            self._is_cut, connected = True, self._socket
        if connected is not None:
            _shut(connected)

    def ask(self, request: urllib.request.Request, timeout_s: float) -> Any:  # noqa: ANN401  # urllib's own type
        """Send a request; return the response, which has to be closed. Where else to ask is an error, not followed.

        Raises:
            urllib.error.HTTPError: the server refused.
            OSError: it cannot be reached.
            http.client.HTTPException: it speaks no HTTP.
        """
        opener = urllib.request.build_opener(_Http(self), _Https(self), _NoRedirect)
        return opener.open(request, timeout=timeout_s)


def _shut(connected: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it has ended by itself
        connected.shutdown(socket.SHUT_RDWR)


class _Connection(http.client.HTTPConnection):
    def __init__(self, line: Line, host: str, **options: Any) -> None:  # noqa: ANN401  # the base class's own
        super().__init__(host, **options)
        self._line = line

    def connect(self) -> None:
        super().connect()
        self._line.opened(self.sock)


class _SecureConnection(_Connection, http.client.HTTPSConnection):
    """The same over TLS: what `_Connection` calls its base is HTTPSConnection here."""


class _Http(urllib.request.HTTPHandler):
    def __init__(self, line: Line) -> None:
        super().__init__()
        self._line = line

    def http_open(self, req: urllib.request.Request) -> Any:  # noqa: ANN401  # urllib's own type
        return self.do_open(partial(_Connection, self._line), req)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, line: Line) -> None:
        super().__init__()
        self._line = line

    def https_open(self, req: urllib.request.Request) -> Any:  # noqa: ANN401  # urllib's own type
        return self.do_open(partial(_SecureConnection, self._line), req)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirected request would take the key along, to whoever it is redirected to."""

    def redirect_request(self, *_: Any) -> None:  # noqa: ANN401  # urllib's own
        return None
