"""Leave no process behind: adopt orphaned descendants, and end them all.

Ray starts daemons that outlive the process that started them. A subreaper (prctl(2), PR_SET_CHILD_SUBREAPER) becomes
their parent when theirs dies, so whatever is left at the end is among our descendants and can be found in /proc.
"""

import asyncio
import contextlib
import ctypes
import os
import signal
from pathlib import Path
from typing import Final

_PR_SET_CHILD_SUBREAPER: Final = 36


def become_subreaper() -> None:
    """Adopt descendants whose parents die. Linux only; elsewhere nothing happens."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants(pid: int) -> list[int]:
    """Every live process below `pid`; zombies are not alive."""
    parents = dict(filter(None, map(_parent_of, Path("/proc").glob("[0-9]*"))))
    found: list[int] = []
    frontier = {pid}
    while frontier:
        frontier = {child for child, parent in parents.items() if parent in frontier}
        found.extend(frontier)
    return found


async def end_descendants(pid: int, *, grace_s: float) -> int:
    """End every process below `pid`: SIGTERM, then SIGKILL after the grace. Returns how many there were."""
    found = descendants(pid)
    _signal(found, signal.SIGTERM)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + grace_s
    while (left := descendants(pid)) and loop.time() < deadline:
        _reap()
        await asyncio.sleep(0.05)
    while left := descendants(pid):  # a dying process can leave children of its own
        _signal(left, signal.SIGKILL)
        _reap()
        await asyncio.sleep(0.05)
    _reap()
    return len(found)


def _parent_of(entry: Path) -> tuple[int, int] | None:
    """A live process and its parent. Format of /proc/PID/stat: proc_pid_stat(5)."""
    try:
        stat = (entry / "stat").read_text()
    except OSError:
        return None  # it has just ended
    state, parent = stat.rpartition(")")[2].split()[:2]  # the name before it may hold anything
    return None if state == "Z" else (int(entry.name), int(parent))


def _signal(pids: list[int], signum: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signum)


def _reap() -> None:
    """Collect adopted children that have ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass
