"""What the rules have found in one request: counted for the metrics, and told in its log line and headers."""

from collections import Counter
from collections.abc import Iterable

from serve.steps.guard.compiled import Hit
from serve.steps.guard.rules import Stage
from serve.telemetry.metrics.guard import GuardMetrics


class Tally:
    """One request's."""

    def __init__(self, metrics: GuardMetrics) -> None:
        self._metrics = metrics
        self._found: Counter[str] = Counter()

    def count(self, hits: Iterable[Hit], stage: Stage) -> None:
        """Count what has been found."""
        for hit in hits:
            action = hit.rule.action.value
            self._metrics.findings.labels(hit.rule.name, stage.value, action).inc()
            self._found[f"{hit.rule.name}={action}"] += 1

    @property
    def facts(self) -> str:
        """Rules, actions and counts, such as `emails=mask:2`; never a text."""
        return ",".join(f"{fact}:{count}" for fact, count in sorted(self._found.items()))
