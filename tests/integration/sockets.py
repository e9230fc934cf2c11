"""Which addresses processes listen at, as psutil tells."""

import contextlib
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import psutil


@dataclass(frozen=True, slots=True, order=True)
class Listener:
    """A listening TCP socket."""

    pid: int
    address: str
    port: int

    @property
    def is_wide(self) -> bool:
        """Whether another machine could reach it."""
        return not ipaddress.ip_address(self.address).is_loopback


def with_descendants(pids: Iterable[int]) -> set[int]:
    """These processes and all that they started, whatever their environment looks like now (a title overwrites it)."""
    found = set(pids)
    for pid in tuple(found):
        with contextlib.suppress(psutil.NoSuchProcess):
            found |= {child.pid for child in psutil.Process(pid).children(recursive=True)}
    return found


def listeners(pids: Iterable[int]) -> list[Listener]:
    """Every listening TCP socket that these processes hold; one that several share is listed for each."""
    found = set()
    for pid in pids:
        with contextlib.suppress(psutil.Error):  # it has ended
            found |= {_listener(pid, one) for one in psutil.Process(pid).net_connections("tcp") if _listens(one)}
    return sorted(found)


def wide_ports() -> set[int]:
    """The ports at which any process of this machine listens beyond it."""
    found = (_listener(0, one) for one in psutil.net_connections("tcp") if _listens(one))
    return {one.port for one in found if one.is_wide}


def _listens(connection: Any) -> bool:
    return bool(connection.status == psutil.CONN_LISTEN)


def _listener(pid: int, connection: Any) -> Listener:
    """An IPv4 address at an IPv6 socket (`::ffff:127.0.0.1`) is that address."""
    address = ipaddress.ip_address(connection.laddr.ip)
    return Listener(pid, str(getattr(address, "ipv4_mapped", None) or address), connection.laddr.port)
