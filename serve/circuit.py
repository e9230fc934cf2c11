"""One expert's circuit: after failures in a row it is left alone for a while, then tried with one request at a time.

`serve.dispatch` asks it before each attempt and tells it how the attempt ended. Only failures of the expert's own
count: a request that was wrong, a full queue or a client that left say nothing about its health.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Final

from serve.settings import CircuitSettings

_BACKOFF: Final = 2.0  # each time a trial fails, the circuit stays open so many times longer


class CircuitState(StrEnum):
    """What a circuit lets through."""

    CLOSED = "closed"  # everything
    OPEN = "open"  # nothing
    HALF_OPEN = "half_open"  # one attempt at a time


class Circuit:
    """The circuit.

    Attributes:
        state: see `CircuitState`.
    """

    def __init__(
        self, settings: CircuitSettings, *, clock: Callable[[], float], on_change: Callable[[CircuitState], None]
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._on_change = on_change
        self.state = CircuitState.CLOSED
        self._failures = 0
        self._open_s = settings.open_s
        self._opened_at = 0.0
        self._failed_at = float("-inf")
        self._is_on_trial = False

    @property
    def retry_after_s(self) -> float:
        """Seconds until an attempt may be made; 0 = now."""
        match self.state:
            case CircuitState.CLOSED:
                return 0.0
            case CircuitState.OPEN:
                return max(0.0, self._opened_at + self._open_s - self._clock())
            case CircuitState.HALF_OPEN:
                return self._settings.open_s if self._is_on_trial else 0.0

    def enter(self) -> bool:
        """Ask to make an attempt; one that may must end in `succeeded`, `failed` or `abandoned`."""
        if self.state is CircuitState.CLOSED:
            return True
        if self.retry_after_s > 0:
            return False
        self._is_on_trial = True
        self._become(CircuitState.HALF_OPEN)
        return True

    def succeeded(self) -> None:
        """The expert answered."""
        self._failures, self._is_on_trial, self._open_s = 0, False, self._settings.open_s
        self._become(CircuitState.CLOSED)

    def abandoned(self) -> None:
        """The attempt ended without a verdict: refused as wrong or over capacity, or its client left."""
        self._is_on_trial = False

    def failed(self, *, began_at: float) -> None:
        """The expert broke, hung or could not be reached.

        Attempts that were under way when another one failed may have met the same mishap, such as one replica of
        several that died: together they count once. `began_at` is the second, by our clock, from which this is news.
        """
        if began_at >= self._failed_at:
            self._failures += 1
            self._failed_at = self._clock()
        was_on_trial, self._is_on_trial = self._is_on_trial, False
        if self.state is CircuitState.HALF_OPEN and was_on_trial:
            self._open_s = min(self._open_s * _BACKOFF, self._settings.max_open_s)
            self._open()
        elif self.state is CircuitState.CLOSED and self._failures >= self._settings.failures:
            self._open()

    def _open(self) -> None:
        self._opened_at = self._clock()
        self._become(CircuitState.OPEN)

    def _become(self, state: CircuitState) -> None:
        if state is not self.state:
            self.state = state
            self._on_change(state)
