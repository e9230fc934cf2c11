"""What the rules have found in one request: counted for the metrics, and told in its log line and headers."""

from collections import Counter
from collections.abc import Sequence

from serve.errors import ContentBlocked
from serve.steps.guard.hit import Hit
from serve.steps.guard.limits import FindLimits
from serve.steps.guard.rules import Action, Rule, Stage
from serve.telemetry.metrics.guard import GuardMetrics


class Tally:
    """One request's."""

    def __init__(self, metrics: GuardMetrics) -> None:
        self._metrics = metrics
        self._found: Counter[str] = Counter()

    def take(self, hits: Sequence[Hit], stage: Stage, *, param: str | None = None) -> None:
        """Count what has been found; `param` is the field that holds it.

        Raises:
            ContentBlocked: one of the rules blocks it.
        """
        for hit in hits:
            action = hit.rule.action.value
            self._metrics.findings.labels(hit.rule.name, stage.value, action).inc()
            self._found[f"{hit.rule.name}={action}"] += 1
        for hit in hits:
            if hit.rule.action is Action.BLOCK:
                self._metrics.blocked.labels(hit.rule.name, stage.value).inc()
                raise blocked(hit.rule, stage, param, hit.why if isinstance(hit.rule.find, FindLimits) else "")

    def bound(self, which: str) -> None:
        """Count that an answer's text had been held back for as long as it may."""
        self._metrics.bounds.labels(which).inc()

    @property
    def facts(self) -> str:
        """Rules, actions and counts, such as `emails=mask:2`; never a text."""
        return ",".join(f"{fact}:{count}" for fact, count in sorted(self._found.items()))


def blocked(rule: Rule, stage: Stage, param: str | None = None, why: str = "") -> ContentBlocked:
    """Make the error that names the rule, and never a text; `why` is a limit that the request is over."""
    what = "answer" if stage is Stage.OUTPUT else "request"
    reason = f": {param}: {why}" if why else ""
    return ContentBlocked(f"the {what} is blocked by the rule '{rule.name}'{reason}", param=param)
