"""A process under measurement: started, watched with all its descendants, and ended completely.

CPU is user plus system time as the kernel counts it, of the process, its living descendants and those that have been
waited for. Memory is resident set size.
"""

import contextlib
import os
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Final, TypeVar

import psutil

T = TypeVar("T")

_STOPS: Final[list[Callable[[], None]]] = []
"""Ends what this process has started, one each; the last one first."""


def end_with_us(stop: Callable[[], None]) -> None:
    """Call `stop` should this process be told to end (SIGTERM), which runs no `finally`; `forget` it once called.

    A load test starts processes in sessions of their own, which would stay behind. Only the main thread may say how a
    signal is handled, and a program's own handler stays.
    """
    _STOPS.append(stop)
    is_main = threading.current_thread() is threading.main_thread()
    if is_main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _end)


def forget(stop: Callable[[], None]) -> None:
    """Take back what `end_with_us` was told."""
    with contextlib.suppress(ValueError):
        _STOPS.remove(stop)


def _end(number: int, frame: FrameType | None) -> None:
    while _STOPS:
        _STOPS.pop()()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


class ProcessTree:
    """A process and its descendants."""

    def __init__(self, command: Sequence[str], *, log: Path, environment: Mapping[str, str] | None = None) -> None:
        self.log = log
        mark = f"moegate-bench-{uuid.uuid4()}"
        self._mark = mark.encode()
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=os.environ | (environment or {}) | {"MOEGATE_BENCH_MARK": mark},
                start_new_session=True,
            )
        end_with_us(self.stop)

    @property
    def has_ended(self) -> bool:
        """Whether it has ended by itself."""
        return self._process.poll() is not None

    def cpu_s(self) -> float:
        """CPU seconds spent so far."""
        return sum(self._each(lambda process: sum(process.cpu_times()[:4])))  # its own and its children's

    def rss_bytes(self) -> int:
        """Memory held now."""
        return sum(self._each(lambda process: process.memory_info().rss))

    def open_files(self) -> int:
        """Files and sockets open now."""
        return sum(self._each(lambda process: process.num_fds()))

    def wait(self) -> None:
        """Wait until it has ended by itself, or been stopped."""
        self._process.wait()

    def stop(self) -> None:
        """End all of it; kill what does not end by itself."""
        forget(self.stop)
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        list(self._each(lambda process: process.kill()))
        self._process.wait()

    def await_line(self, mark: str, timeout_s: float) -> str:
        """Wait until the log has a line with `mark` in it; returns that line.

        Raises:
            TimeoutError: it never comes.
        """
        until = time.monotonic() + timeout_s
        while time.monotonic() < until and not self.has_ended:
            for line in self.log.read_text(errors="replace").splitlines():
                if mark in line:
                    return line
            time.sleep(0.05)
        raise TimeoutError(f"no {mark!r} in {self.log}: {self.log.read_text(errors='replace')[-1500:]}")

    def _each(self, ask: Callable[[psutil.Process], T]) -> Iterator[T]:
        """Ask every process of the tree; one that ends meanwhile has no say.

        Those are the processes of the session it was started in, and those that inherited its mark. Neither alone
        finds all: a descendant may begin a session of its own, or overwrite its environment.
        """
        for process in psutil.process_iter():
            try:
                if not self._is_ours(process.pid):
                    continue
                answer = ask(process)
            except (OSError, psutil.Error):
                continue
            yield answer

    def _is_ours(self, pid: int) -> bool:
        if os.getsid(pid) == self._process.pid:
            return True
        # As it stands: psutil reads an environment up to its first gap, which a process that sets its title leaves.
        return self._mark in Path(f"/proc/{pid}/environ").read_bytes()
