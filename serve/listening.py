"""Listening sockets, alone or shared by several workers, ports reserved for them, and how a listener is told of."""

import socket
from dataclasses import dataclass
from typing import Protocol


class Listening(Protocol):
    """What is told of a gateway once it is ready; addresses are `host:port`."""

    @property
    def http_address(self) -> str:
        """Where the HTTP door is."""
        ...

    @property
    def grpc_address(self) -> str:
        """Where the gRPC door is."""
        ...


@dataclass(frozen=True, slots=True)
class Addresses:
    """The addresses alone."""

    http_address: str
    grpc_address: str


def listen(host: str, port: int, *, is_shared: bool) -> socket.socket:
    """Listen on a TCP port; `is_shared` lets other workers listen on it, too (SO_REUSEPORT).

    Raises:
        OSError: the port is taken.
    """
    return socket.create_server((host, port), family=_family(host), backlog=2048, reuse_port=is_shared)


def reserve(host: str, port: int) -> socket.socket:
    """Take a port for workers to share; hold the socket for as long as they may come and go.

    It is bound and does not listen, so no connection is ever given to it.

    Raises:
        OSError: the port is taken.
    """
    with socket.create_server((host, port), family=_family(host)) as probe:  # sharing would hide that it is taken
        port = probe.getsockname()[1]
    holder = socket.socket(_family(host), socket.SOCK_STREAM)
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    holder.bind((host, port))
    return holder


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
