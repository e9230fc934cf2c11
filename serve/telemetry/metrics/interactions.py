"""Metrics of the interactions that are kept for the flywheel."""

from serve.telemetry.metrics.registrar import Children, Registrar


class InteractionMetrics:
    """`serve.interactions` writes them."""

    def __init__(self, add: Registrar) -> None:
        self.records = Children(
            add.counter(
                "interactions",
                "Answers to be kept for the flywheel: `kept`; lost because too many waited (`full`), because the store "
                "failed (`failed`), or by a fault of ours (`fault`)",
                "outcome",
            )
        )
        self.bytes = add.counter("interaction_bytes", "Bytes of segments written, compressed")
        self.redactions = Children(
            add.counter("interaction_redactions", "Personal data and credentials masked in what is kept", "entity")
        )
