"""A changed file of rules is taken up; a wrong one is refused, and the last good one stays."""

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from serve.live.sources import guard_source
from serve.live.watch import Watch
from serve.steps.guard.compiled import BrokenRule
from serve.steps.guard.finding import Finding
from serve.steps.guard.in_force import GuardRules
from serve.steps.guard.rules import Stage
from serve.telemetry.metrics import Metrics
from tests.helpers import sample

RELOADS = "configuration_reloads_total"
ONE = "rules:\n  - {name: one, find: {kind: credentials}, at: [input]}\n"


async def test_a_changed_file_is_taken_up_and_a_wrong_one_refused(tmp_path: Path) -> None:
    path, metrics = tmp_path / "guard.yaml", Metrics(CollectorRegistry())
    path.write_text(ONE)
    rules = GuardRules(path, metrics.guard)
    watch = Watch((guard_source(rules),), metrics.configuration)
    first = rules.current
    await watch.look()
    assert rules.current is first
    path.write_text(ONE.replace("one", "other"))
    await watch.look()
    assert [rule.name for rule in rules.current.rules] == ["other"]
    path.write_text("rules: [")
    await watch.look()
    await watch.look()
    assert [rule.name for rule in rules.current.rules] == ["other"]
    for outcome in ("taken", "refused"):
        assert sample(metrics.registry, RELOADS, configuration="guard", outcome=outcome) == 1
    path.unlink()
    await watch.look()
    assert [rule.name for rule in rules.current.rules] == ["other"]


def test_a_rule_that_cannot_be_carried_out_is_counted(tmp_path: Path) -> None:
    path, metrics = tmp_path / "guard.yaml", Metrics(CollectorRegistry())
    path.write_text(ONE)
    rules = GuardRules(path, metrics.guard).current
    inspector = rules.at(Stage.INPUT)
    assert inspector is not None
    inspector._rules[0].detector.find = _broken  # type: ignore[method-assign]
    with pytest.raises(BrokenRule):
        inspector.hits("a password: b")
    assert sample(metrics.registry, "guard_failures_total", rule="one", fail="closed") == 1


def _broken(text: str) -> list[Finding]:
    raise RuntimeError(text)
