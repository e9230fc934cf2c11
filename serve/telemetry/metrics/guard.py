"""Metrics of the guard. A rule's name is a label: rules are the operator's, at most 200 of them."""

from collections.abc import Iterable

from serve.telemetry.metrics import buckets
from serve.telemetry.metrics.registrar import Registrar


class GuardMetrics:
    """`serve.app` hands them to those who write them."""

    def __init__(self, add: Registrar) -> None:
        self.findings = add.counter(
            "guard_findings",
            "What the guard's rules have found, by rule, where it was, and what was done",
            "rule",
            "stage",
            "action",
        )
        self.blocked = add.counter(
            "guard_blocked", "Requests and answers that a rule has blocked, once each", "rule", "stage"
        )
        self.failures = add.counter(
            "guard_failures",
            "Times that a rule could not be carried out: `open` let the text pass, `closed` blocked it",
            "rule",
            "fail",
        )
        self.bounds = add.counter(
            "guard_bounds",
            "Times that text of an answer went on before a rule had done with it: it was held back for long enough",
            "bound",
        )
        for bound in ("chars", "ms"):
            self.bounds.labels(bound)
        self.call_seconds = add.histogram(
            "guard_call_seconds", "Time to ask a rule's service about one text", buckets.TTFT, "rule"
        )
        self.seconds = add.histogram("guard_seconds", "Time to look at a request before it is routed", buckets.GATEWAY)

    def expect(self, rules: Iterable[tuple[str, str, str, str]]) -> None:
        """Show as 0 what has not happened yet: of each rule its name, a stage, its action, and how it fails."""
        for name, stage, action, fail in rules:
            self.findings.labels(name, stage, action)
            self.failures.labels(name, fail)
            if action == "block":
                self.blocked.labels(name, stage)
