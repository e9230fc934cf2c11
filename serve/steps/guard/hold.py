"""How long an answer's text may be held back. Each answer has one timer, set again only when it fires."""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol


class Timers(Protocol):
    """A clock and its timers, as asyncio's loop has them."""

    def time(self) -> float:
        """Seconds, since any time."""
        ...

    def call_later(self, delay: float, callback: Callable[[], object]) -> "Timer":
        """Call once, so many seconds from now."""
        ...


class Timer(Protocol):
    """What `call_later` returns."""

    def cancel(self) -> Any:  # noqa: ANN401
        """Do not call."""
        ...


class Hold:
    """Has an answer looked at again once something in it is held back for too long."""

    def __init__(self, limit_s: float, wake: Callable[[], object], timers: Timers | None = None) -> None:
        """`wake` has the reader go on without a piece; `timers` are the running loop's unless told."""
        self._limit_s = limit_s
        self._wake = wake
        self._timers: Timers = asyncio.get_running_loop() if timers is None else timers
        self._since: float | None = None
        self._timer: Timer | None = None
        self.clock = self._timers.time

    def is_over(self, since: float | None) -> bool:
        """Tell whether what is held back since then has waited for long enough."""
        return since is not None and self.clock() - since >= self._limit_s

    def watch(self, since: float | None) -> None:
        """What is held back now is held back since then; None: nothing is."""
        self._since = since
        if since is not None and self._timer is None:
            self._timer = self._timers.call_later(max(0.0, since + self._limit_s - self.clock()), self._look)

    def stop(self) -> None:
        """Stop for good."""
        self._since = None
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self._timer = None
        if self.is_over(self._since):
            self._wake()
        else:
            self.watch(self._since)
