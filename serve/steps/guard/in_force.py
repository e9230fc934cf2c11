"""The rules in force. `serve.live` takes up a changed file; where it is wrong, the last good rules stay."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from serve.steps.guard.called.rules import OnCall
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
        self._closing: set[asyncio.Task[None]] = set()
        self.current = self.read()
        self._show()

    def read(self) -> RuleSet:
        """Read the file anew.

        Raises:
            GuardFileError: it cannot be used.
        """
        return load_rules(self.path, on_failure=self._failed, on_call=self._called)

    def take_up(self, rules: RuleSet) -> None:
        """Go by these rules from the next request on. Call it on the loop."""
        closing = asyncio.create_task(self.current.close())
        self._closing.add(closing)  # the loop itself keeps no task alive
        closing.add_done_callback(self._closing.discard)
        self.current = rules
        self._show()

    async def close(self) -> None:
        """Give back what the rules hold open."""
        await asyncio.gather(self.current.close(), *self._closing)

    def _show(self) -> None:
        rules = self.current.rules
        self._metrics.expect(
            (rule.name, stage.value, rule.action.value, rule.fail) for rule in rules for stage in rule.at
        )

    def _failed(self, rule: Rule) -> None:
        self._metrics.failures.labels(rule.name, rule.fail).inc()

    def _called(self, rule: Rule, took_s: float) -> None:
        self._metrics.call_seconds.labels(rule.name).observe(took_s)


def load_rules(
    path: Path, *, on_failure: Callable[[Rule], None] | None = None, on_call: OnCall = lambda rule, took_s: None
) -> RuleSet:
    """Read a file of rules and make them ready.

    Raises:
        GuardFileError: it cannot be read, a rule is wrong, or needs a package that is not installed.
    """
    return RuleSet(read_rules(path), on_failure=on_failure, on_call=on_call)
