"""Metrics of routing: time, confidence, reasons, the kind of traffic, and the router's artefact."""

from serve.telemetry.metrics import buckets
from serve.telemetry.metrics.registrar import Across, Children, Registrar


class RoutingMetrics:
    """`serve.telemetry.observers.metrics`, `serve.telemetry.traffic` and `serve.routing.reload` write them."""

    def __init__(self, add: Registrar) -> None:
        self.seconds = add.histogram("route_seconds", "Time to decide", buckets.GATEWAY)
        self.confidence = Children(
            add.histogram(
                "route_confidence",
                "Probability of the chosen expert, where the router chose",
                buckets.PROBABILITY,
                "expert",
            )
        )
        self.decisions = Children(
            add.counter("route_decisions", "Decisions, by chosen expert and reason", "expert", "reason")
        )
        self.reloads = add.counter("router_reloads", "Replaced router artefacts, by what became of them", "outcome")
        self.classes = Children(
            add.counter("route_classes", "Requests by the expert that the words alone ask for", "expert")
        )
        self.languages = Children(
            add.counter(
                "route_languages", "Requests by language, or by script where that is all one can tell", "language"
            )
        )
        self.turns = Children(
            add.counter("conversation_turns", "Later turns of conversations: stayed with their expert or moved", "move")
        )
        self.training_share = add.gauge(
            "route_training_share", "Share of the training rows that are this expert's", "expert", across=Across.MAX
        )
        self.drift = add.gauge(
            "route_drift_psi",
            "Population stability index of the latest requests' classes against the training rows'",
            across=Across.MAX,
        )
