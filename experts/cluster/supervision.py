"""How the experts' start code ends: on a signal, when its parent dies or its child crashes. Nothing stays behind.

`experts.app` does its work in a forked child under `supervise`, because Ray installs its own signal handlers, which can
end the child silently. The parent runs no library, so it survives that and kills what the child left. Linux only, as
Ray's own process handling is.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

_PR_SET_CHILD_SUBREAPER = 36  # <linux/prctl.h>


class StopRequested(BaseException):
    """Somebody wants the process to end; raised in the main thread, once."""


def raise_on_signals() -> None:
    """Make the first SIGTERM or SIGINT raise `StopRequested`; the shutdown that follows is not interrupted."""

    def stop(number: int, frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise StopRequested

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)


def stop_with_parent() -> None:
    """Send ourselves SIGTERM when the process that started us is gone."""
    parent = os.getppid()

    def watch() -> None:
        try:
            descriptor = os.pidfd_open(parent)
        except ProcessLookupError:
            pass  # gone already
        else:
            select.select([descriptor], [], [])
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


def supervise(work: Callable[[], int], grace_s: float) -> int:
    """Run `work` in a child until it ends or a signal comes; return its exit status, 0 after a signal.

    On a signal the child gets SIGTERM and `grace_s` seconds. Whatever it started is gone when this returns.
    """
    _adopt_orphans()
    raise_on_signals()
    stop_with_parent()
    child = os.fork()
    if child == 0:
        _run_and_exit(work)
    try:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    except StopRequested:
        os.kill(child, signal.SIGTERM)
        _wait_at_most(child, grace_s)
        return 0
    finally:
        kill_descendants()


def _run_and_exit(work: Callable[[], int]) -> NoReturn:
    status = 1
    try:
        raise_on_signals()
        stop_with_parent()
        status = work()
    finally:
        sys.stderr.flush()
        os._exit(status)  # what the parent does at its exit is the parent's


def _wait_at_most(child: int, seconds: float) -> None:
    until_s = time.monotonic() + seconds
    with contextlib.suppress(ChildProcessError):
        while time.monotonic() < until_s and os.waitpid(child, os.WNOHANG)[0] == 0:
            time.sleep(0.02)


def _adopt_orphans() -> None:
    """Become the parent of descendants whose own parent dies, so that `kill_descendants` finds them all."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def kill_descendants(patience_s: float = 2.0) -> list[int]:
    """Kill every process that descends from this one and reap it; return those that were still there."""
    found: set[int] = set()
    until_s = time.monotonic() + patience_s
    while time.monotonic() < until_s:
        left = _descendants(os.getpid())
        found.update(left)
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if not _reap() and not left:
            break
        time.sleep(0.02)
    return sorted(found)


def _reap() -> bool:
    """Collect children that have ended; say whether any child is left."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def _descendants(root: int) -> list[int]:
    """List living descendants, zombies excluded."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                state, parent = (folder / "stat").read_text().rsplit(")", 1)[1].split()[:2]
                if state != "Z":
                    parents[int(folder.name)] = int(parent)
    found, frontier = [], {root}
    while frontier:
        frontier = {pid for pid, parent in parents.items() if parent in frontier}
        found += sorted(frontier)
    return found
