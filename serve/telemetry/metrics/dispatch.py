"""Metrics of dispatch: attempts beyond the first, and the experts' circuits."""

from enum import StrEnum
from typing import Final

from serve.telemetry.metrics.registrar import Across, Registrar


class CircuitState(StrEnum):
    """What a circuit lets through."""

    CLOSED = "closed"  # everything
    OPEN = "open"  # nothing
    HALF_OPEN = "half_open"  # one attempt at a time


_LEVELS: Final = {CircuitState.CLOSED: 0, CircuitState.HALF_OPEN: 1, CircuitState.OPEN: 2}


class DispatchMetrics:
    """`serve.dispatch.dispatcher` and `serve.telemetry.observers.metrics` write them."""

    def __init__(self, add: Registrar) -> None:
        self.fallbacks = add.counter("fallbacks", "Moves to the next expert before the first token", "expert", "to")
        self.hand_backs = add.counter(
            "hand_backs",
            "Requests that an expert handed back because no tool fitted, and who was asked next",
            "expert",
            "to",
        )
        self.retries = add.counter("retries", "Further attempts at the same expert before the first token", "expert")
        self.hedges = add.counter("hedges", "Second experts asked beside a slow first one", "expert", "to")
        self.refused_attempts = add.counter(
            "refused_attempts", "Retries, fallbacks and hedges that the retry budget did not allow"
        )
        self.wakes = add.counter(
            "wakes", "Calls held open for an expert without replicas: `answered` or `given_up`", "expert", "outcome"
        )
        self._circuit = add.gauge("circuit_state", "0 closed, 1 half open, 2 open", "expert", across=Across.MAX)

    def circuit(self, expert: str, state: CircuitState) -> None:
        """Record a circuit's state."""
        self._circuit.labels(expert).set(_LEVELS[state])
