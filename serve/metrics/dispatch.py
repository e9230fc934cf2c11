"""Metrics of dispatch: moves from one expert to the next."""

from serve.metrics.registrar import Registrar


class DispatchMetrics:
    """`serve.meter` writes them."""

    def __init__(self, add: Registrar) -> None:
        self.fallbacks = add.counter("fallbacks", "Moves to the next expert before the first token", "expert", "to")
