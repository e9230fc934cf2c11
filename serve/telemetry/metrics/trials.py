"""Metrics of candidates on trial."""

from serve.telemetry.metrics.registrar import Across, Children, Registrar


class TrialMetrics:
    """`serve.routing.trials`, `serve.routing.router_trial` and `serve.interactions.shadow` write them."""

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
        self.share = Children(
            add.gauge(
                "trial_share",
                "Share of an expert's conversations that its canary gets (`canary`), or answers once more unseen "
                "(`shadow`)",
                "canary",
                "kind",
                across=Across.MAX,
            )
        )
        self.changes = Children(
            add.gauge(
                "flywheel_changes",
                "Lines of an expert's history: `adopted`, `shadow`, `canary`, `ended`, `promoted`, `rolled back`",
                "expert",
                "event",
                across=Across.MAX,
            )
        )
        self.shadows = Children(
            add.counter(
                "shadows",
                "Answers that a candidate was asked for unseen: `answered`, `failed`, or `shed` because users came "
                "first",
                "canary",
                "outcome",
            )
        )
        self.router_shadows = Children(
            add.counter(
                "router_shadows",
                "Decisions that a router on trial made beside the one that serves, by whom either chose; `failed` "
                "where it could not",
                "expert",
                "candidate",
            )
        )
