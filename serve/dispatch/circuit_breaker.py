"""One expert's circuit: after failures in a row the expert gets no requests for a while, then a trial.

`serve.dispatch.dispatcher` asks the circuit before each attempt and reports how the attempt ended.
`serve.dispatch.circuits` probes the expert for it. Only the expert's own failures count: a wrong request, a full queue
or a client that disconnected says nothing about its health. Failures that only one tenant has met may be due to what
that tenant sends. They make the expert suspect, and a probe decides.
"""

from collections import Counter
from collections.abc import Callable
from typing import Final

from serve.settings.tree import CircuitSettings
from serve.telemetry.metrics.dispatch import CircuitState

_BACKOFF: Final = 2.0  # each time a trial fails, the circuit stays open so many times longer
_WITNESSES: Final = 2


class Circuit:
    """The circuit.

    Attributes:
        state: see `CircuitState`.
    """

    def __init__(
        self,
        settings: CircuitSettings,
        *,
        clock: Callable[[], float],
        on_change: Callable[[CircuitState], None],
        on_suspicion: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_suspicion` is called when one tenant alone has met enough failures; its owner then calls `probed`."""
        self._settings = settings
        self._clock = clock
        self._on_change = on_change
        self._on_suspicion = on_suspicion
        self.state = CircuitState.CLOSED
        self._failures: Counter[str | None] = Counter()  # by witness
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
        """Ask for permission to make an attempt; it must then end in `succeeded`, `failed` or `abandoned`."""
        if self.state is CircuitState.CLOSED:
            return True
        if self.retry_after_s > 0:
            return False
        self._is_on_trial = True
        self._become(CircuitState.HALF_OPEN)
        return True

    def succeeded(self) -> None:
        """The expert answered."""
        self._open_s = self._settings.open_s
        self._close()

    def abandoned(self) -> None:
        """The attempt ended without a verdict: refused as wrong or over capacity, or its client left."""
        self._is_on_trial = False

    def failed(self, *, began_at: float, witness: str | None = None) -> None:
        """The expert broke, hung or could not be reached.

        Attempts that were under way when another one failed may have met the same mishap, such as one replica of
        several that died: together they count once.

        Args:
            began_at: the second, by our clock, from which this is news.
            witness: the tenant whose request met it; None where what was sent can have had no part in it.
        """
        if began_at >= self._failed_at:
            self._failures[witness] += 1
            self._failed_at = self._clock()
        was_on_trial, self._is_on_trial = self._is_on_trial, False
        if self.state is CircuitState.HALF_OPEN and was_on_trial:
            self._open_longer()
        elif self.state is CircuitState.CLOSED and self._failures.total() >= self._settings.failures:
            if self._is_proven:
                self._open()
            else:
                self._on_suspicion()

    def probed(self, *, is_well: bool) -> None:
        """Report the result of our own probe.

        An expert that only its probes find well is left alone for longer the next time.
        """
        if is_well:
            if self.state is not CircuitState.CLOSED:
                self._open_s = self._longer_s
            self._close()
        elif self.state is CircuitState.CLOSED:
            self._open()
        else:
            self._open_longer()

    @property
    def _is_proven(self) -> bool:
        """Whether more than one tenant has met the failures, so that one tenant's requests cannot be the cause."""
        tenants = len(self._failures.keys() - {None})
        return self._failures[None] >= self._settings.failures or tenants >= _WITNESSES

    @property
    def _longer_s(self) -> float:
        return min(self._open_s * _BACKOFF, self._settings.max_open_s)

    def _close(self) -> None:
        self._failures.clear()
        self._is_on_trial = False
        self._become(CircuitState.CLOSED)

    def _open_longer(self) -> None:
        self._open_s = self._longer_s
        self._open()

    def _open(self) -> None:
        self._opened_at = self._clock()
        self._is_on_trial = False
        self._become(CircuitState.OPEN)

    def _become(self, state: CircuitState) -> None:
        if state is not self.state:
            self.state = state
            self._on_change(state)
