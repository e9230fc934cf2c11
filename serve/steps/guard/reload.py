"""The rules in force. A changed file is taken up while serving; where it is wrong, the last good rules stay."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from serve.steps.guard.compiled import RuleSet
from serve.steps.guard.rules import GuardFileError, Rule, read_rules
from serve.telemetry.metrics.guard import GuardMetrics

log = logging.getLogger("moegate.guard")


class GuardRules:
    """The file and the rules that were last read out of it.

    Attributes:
        current: the rules in force.
    """

    def __init__(self, path: Path, metrics: GuardMetrics, interval_s: float) -> None:
        """Read the file.

        Raises:
            GuardFileError: it cannot be used.
        """
        self._path = path
        self._metrics = metrics
        self._interval_s = interval_s
        self._seen = _stamp(path)
        self.current = load_rules(path, on_failure=self._failed)
        self._expect()

    async def run(self) -> None:
        """Look at the file again and again."""
        while True:
            await asyncio.sleep(self._interval_s)
            await self.look()

    async def look(self) -> None:
        """Look at the file once."""
        stamp = await asyncio.to_thread(_stamp, self._path)
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            rules = await asyncio.to_thread(load_rules, self._path, on_failure=self._failed)
        except GuardFileError as error:
            self._metrics.reloads.labels("refused").inc()
            log.warning("guard rules refused", extra={"error": str(error), "rules": self.current.version})
            return
        if rules.version != self.current.version:
            self.current = rules
            self._expect()
            self._metrics.reloads.labels("taken").inc()
            log.info("guard rules replaced", extra={"rules": rules.version})

    def _expect(self) -> None:
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
    file, version = read_rules(path)
    return RuleSet(file, version, on_failure=on_failure)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
