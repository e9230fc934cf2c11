"""Metrics of canaries' trials."""

from serve.telemetry.metrics.registrar import Children, Registrar


class TrialMetrics:
    """`serve.routing.trials` writes them."""

    def __init__(self, add: Registrar) -> None:
        self.ended = Children(
            add.counter(
                "trials_ended",
                "Trials of a canary that this gateway has ended because it is worse: `error`, `form`, `rating`, `slow` "
                "or `dear`",
                "canary",
                "kind",
            )
        )
