"""Notices a silent stream. Each call has one timer, set again only when it fires: messages cost no timer."""

import asyncio
from collections.abc import Callable
from typing import Final

_LAST_CHANCE_S: Final = 0.1


class IdleTimeout:
    """Measures how long a stream is silent.

    Attributes:
        limit_s: how long a wait may last, seconds; may be made longer at any time.
        is_over: a wait lasted longer, and `on_silence` has been called.
    """

    def __init__(self, limit_s: float, on_silence: Callable[[], object]) -> None:
        self.limit_s = limit_s
        self.is_over = False
        self._on_silence = on_silence
        self._is_last_chance = False
        self._loop = asyncio.get_running_loop()
        self._since: float | None = None
        self._timer = self._loop.call_later(limit_s, self._look)

    def wait(self) -> None:
        """Begin a wait. Time between waits does not count, because then our own reader is slow."""
        self._since, self._is_last_chance = self._loop.time(), False

    def heard(self) -> None:
        """End a wait."""
        self._since = None

    def stop(self) -> None:
        """Stop for good."""
        self._timer.cancel()

    def _look(self) -> None:
        left_s = self.limit_s
        if self._since is not None:
            left_s += self._since - self._loop.time()
        if left_s > 0:
            self._timer = self._loop.call_later(left_s, self._look)
        elif not self._is_last_chance:  # if it is our own loop that was late, what was said is still unread
            self._is_last_chance = True
            self._timer = self._loop.call_later(_LAST_CHANCE_S, self._look)
        else:
            self.is_over = True
            self._on_silence()
