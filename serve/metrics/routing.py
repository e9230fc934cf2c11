"""Metrics of the decision: time, confidence, reasons, and the router's own artefact."""

from serve.metrics import buckets
from serve.metrics.registrar import Registrar


class RoutingMetrics:
    """`serve.meter` and `serve.reload` write them."""

    def __init__(self, add: Registrar) -> None:
        self.seconds = add.histogram("route_seconds", "Time to decide", buckets.GATEWAY)
        self.confidence = add.histogram(
            "route_confidence",
            "Probability of the chosen expert, where the router chose",
            buckets.PROBABILITY,
            "expert",
        )
        self.decisions = add.counter("route_decisions", "Decisions, by chosen expert and reason", "expert", "reason")
        self.reloads = add.counter("router_reloads", "Replaced router artefacts, by what became of them", "outcome")
