"""A process under measurement: started, watched with all its descendants, and ended completely.

CPU is user plus system time as the kernel counts it, of the process, its living descendants and those that have been
waited for. Memory is resident set size.
"""

import contextlib
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


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

    @property
    def has_ended(self) -> bool:
        """Whether it has ended by itself."""
        return self._process.poll() is not None

    def cpu_s(self) -> float:
        """CPU seconds spent so far."""
        return sum(sum(map(int, fields[11:15])) for fields in self._stats()) / _TICKS_PER_S

    def rss_bytes(self) -> int:
        """Memory held now."""
        return sum(int(fields[21]) for fields in self._stats()) * _PAGE_BYTES

    def open_files(self) -> int:
        """Files and sockets open now."""
        return sum(len(list((Path("/proc") / pid / "fd").iterdir())) for pid in self._pids())

    def stop(self) -> None:
        """End all of it; kill what does not end by itself."""
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        for pid in self._pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
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

    def _stats(self) -> Iterator[list[str]]:
        """`/proc/PID/stat` from the third field on, of every process of the tree."""
        for pid in self._pids():
            with contextlib.suppress(OSError):
                yield (Path("/proc") / pid / "stat").read_text().rpartition(")")[2].split()

    def _pids(self) -> list[str]:
        """The processes of the tree: those of the session it was started in, and those that inherited its mark.

        Neither alone finds all: a descendant may begin a session of its own, or overwrite its environment.
        """
        return [folder.name for folder in Path("/proc").glob("[0-9]*") if self._is_ours(folder)]

    def _is_ours(self, process: Path) -> bool:
        try:
            session = (process / "stat").read_text().rpartition(")")[2].split()[3]
            return session == str(self._process.pid) or self._mark in (process / "environ").read_bytes()
        except OSError:
            return False
