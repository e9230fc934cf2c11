"""The rules in force. `serve.live` takes up a changed file; where it is wrong, the last good rules stay."""

from collections.abc import Callable
from pathlib import Path

from serve.steps.guard.compiled import RuleSet
from serve.steps.guard.rules import Rule, read_rules
from serve.telemetry.metrics.guard import GuardMetrics


class GuardRules:
    """A file of rules, and those that were last taken up out of it.

    Attributes:
        path: the file.
        current: the rules in force.
    """

    def __init__(self, path: Path, metrics: GuardMetrics) -> None:
        """Read the file.

        Raises:
            GuardFileError: it cannot be used.
        """
        self.path = path
        self._metrics = metrics
        self.current = self.read()
        self._show()

    def read(self) -> RuleSet:
        """Read the file anew.

        Raises:
            GuardFileError: it cannot be used.
        """
        return load_rules(self.path, on_failure=self._failed)

    def take_up(self, rules: RuleSet) -> None:
        """Go by these rules from the next request on."""
        self.current.close()
        self.current = rules
        self._show()

    def close(self) -> None:
        """Give back what the rules hold open."""
        self.current.close()

    def _show(self) -> None:
        rules = self.current.rules
        self._metrics.expect(
            (rule.name, stage.value, rule.action.value, rule.fail) for rule in rules for stage in rule.at
        )

    def _failed(self, rule: Rule) -> None:
        self._metrics.failures.labels(rule.name, rule.fail).inc()


def load_rules(path: Path, *, on_failure: Callable[[Rule], None] | None = None) -> RuleSet:
    """Read a file of rules and make them ready.

    Raises:
        GuardFileError: it cannot be read, a rule is wrong, or needs a package that is not installed.
    """
    return RuleSet(read_rules(path), on_failure=on_failure)
