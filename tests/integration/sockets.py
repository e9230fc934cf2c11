"""Which addresses processes listen at, as Linux tells: /proc/<pid>/fd and /proc/<pid>/net/tcp (proc(5))."""

import ipaddress
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_LISTEN = "0A"  # TCP_LISTEN in the kernel's include/net/tcp_states.h


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
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(folder.name))
    found, left = set(), list(pids)
    while left:
        pid = left.pop()
        if pid not in found:
            found.add(pid)
            left += children.get(pid, [])
    return found


def listeners(pids: Iterable[int]) -> list[Listener]:
    """Every listening TCP socket that these processes hold; one that several share is listed for each."""
    found = set()
    for pid in pids:
        try:
            inodes = set(_inodes(pid))
            table = list(_table(f"/proc/{pid}/net"))
        except OSError:  # it has ended
            continue
        found |= {Listener(pid, address, port) for inode, address, port in table if inode in inodes}
    return sorted(found)


def wide_ports() -> set[int]:
    """The ports at which any process of this machine listens beyond it."""
    return {port for _, address, port in _table("/proc/net") if Listener(0, address, port).is_wide}


def _table(folder: str) -> Iterator[tuple[str, str, int]]:
    for name in ("tcp", "tcp6"):
        for line in Path(folder, name).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTEN:
                address, port = fields[1].split(":")
                yield fields[9], _address(address), int(port, 16)


def _inodes(pid: int) -> Iterator[str]:
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{name}")
        except OSError:  # closed meanwhile
            continue
        if target.startswith("socket:["):
            yield target[8:-1]


def _address(text: str) -> str:
    """Read what the kernel prints: 32-bit words in the machine's byte order, little-endian where we run."""
    raw = bytes.fromhex(text)
    address = ipaddress.ip_address(b"".join(raw[at : at + 4][::-1] for at in range(0, len(raw), 4)))
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)
