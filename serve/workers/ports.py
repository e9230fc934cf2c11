"""Checks the doors' ports before anything slow starts: are they free and allowed? The error names the flag.

`moegate up` asks before Ray and the experts start, which takes most of a minute. The ports are not held meanwhile: with
a listening socket clients would wait, where they are refused now.
"""

import errno
import socket
from contextlib import ExitStack

from serve.settings.tree import Settings
from serve.workers.sockets import listen


class PortUnavailable(OSError):
    """A door cannot be opened where the settings say; the message names address, setting and flag."""


def check(settings: Settings) -> None:
    """Complain now if a door could not be opened.

    Raises:
        PortUnavailable: see there.
    """
    port = settings.http.port
    if port == settings.grpc.port != 0:
        raise PortUnavailable(f"http.port and grpc.port are both {port}: give --port or --grpc-port another")
    with ExitStack() as sockets:
        for name, flag, door in (("http", "--port", settings.http), ("grpc", "--grpc-port", settings.grpc)):
            sockets.enter_context(_take(name, flag, door.host, door.port))


def _take(name: str, flag: str, host: str, port: int) -> socket.socket:
    try:
        return listen(host, port, is_shared=False)
    except OSError as error:
        where = f"{name}: port {port} of {host}"
        match error.errno:
            case int(number) if number < 0:  # getaddrinfo's (its errors are negative), wrapped by socket.create_server
                message = f"{name}.host {host!r} is no host that can be found: give --host another"
            case errno.EADDRINUSE:
                message = f"{where} is in use by another process: give {flag} another, or 0 for any free one"
            case errno.EACCES:
                message = f"{where} is not allowed to this user: give {flag} one from 1024 up"
            case errno.EADDRNOTAVAIL:
                message = f"{name}.host {host} is no address of this machine: give --host another"
            case _:
                message = f"{where} cannot be opened: {error.strerror or error}: see {flag} and --host"
        raise PortUnavailable(message) from None
