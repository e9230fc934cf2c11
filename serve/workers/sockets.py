"""Listening sockets, for one process or shared by several workers; reserved ports; printable addresses."""

import socket
from dataclasses import dataclass
from typing import Protocol


class Listening(Protocol):
    """What is told of a gateway once it is ready; addresses are `host:port`, IPv6 in brackets: `[::1]:8000`."""

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


def address(host: str, port: int) -> str:
    """An address as URLs and gRPC write it (RFC 3986 section 3.2.2): IPv6 in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def listen(host: str, port: int, *, is_shared: bool) -> socket.socket:
    """Listen on a TCP port; `is_shared` lets other workers listen on it, too (SO_REUSEPORT).

    Raises:
        OSError: the port is taken.
    """
    family, is_dual = _family(host)
    return socket.create_server((host, port), family=family, backlog=2048, reuse_port=is_shared, dualstack_ipv6=is_dual)


def reserve(host: str, port: int) -> socket.socket:
    """Take a port for workers to share; hold the socket for as long as they may come and go.

    It is bound and does not listen, so no connection is ever given to it.

    Raises:
        OSError: the port is taken.
    """
    family, is_dual = _family(host)
    with socket.create_server((host, port), family=family, dualstack_ipv6=is_dual) as probe:
        port = probe.getsockname()[1]  # sharing would hide that it is taken
    holder = socket.socket(family, socket.SOCK_STREAM)
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if is_dual:
        holder.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    holder.bind((host, port))
    return holder


def _family(host: str) -> tuple[socket.AddressFamily, bool]:
    """The family of an address, and whether it takes IPv4 as well: `::` is every address, as gRPC has it."""
    if ":" not in host:
        return socket.AF_INET, False
    return socket.AF_INET6, host == "::"
