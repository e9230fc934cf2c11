"""A changed file of rules is taken up; a wrong one is refused, and the last good one stays."""

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from serve.steps.guard.compiled import BrokenRule
from serve.steps.guard.finding import Finding
from serve.steps.guard.reload import GuardRules
from serve.steps.guard.rules import Stage
from serve.telemetry.metrics import Metrics
from tests.helpers import sample

ONE = "rules:\n  - {name: one, find: {kind: credentials}, at: [input]}\n"


async def test_a_changed_file_is_taken_up_and_a_wrong_one_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, metrics = tmp_path / "guard.yaml", Metrics(CollectorRegistry())
    path.write_text(ONE)
    rules = GuardRules(path, metrics.guard, 1.0)
    first = rules.current
    await rules.look()
    assert rules.current is first
    path.write_text(ONE.replace("one", "other"))
    await rules.look()
    assert [rule.name for rule in rules.current.rules] == ["other"]
    path.write_text("rules: [")
    await rules.look()
    await rules.look()
    assert [rule.name for rule in rules.current.rules] == ["other"]
    assert sample(metrics.registry, "guard_reloads_total", outcome="taken") == 1
    assert sample(metrics.registry, "guard_reloads_total", outcome="refused") == 1
    path.unlink()
    await rules.look()
    assert [rule.name for rule in rules.current.rules] == ["other"]


def test_a_rule_that_cannot_be_carried_out_is_counted(tmp_path: Path) -> None:
    path, metrics = tmp_path / "guard.yaml", Metrics(CollectorRegistry())
    path.write_text(ONE)
    rules = GuardRules(path, metrics.guard, 1.0).current
    inspector = rules.at(Stage.INPUT)
    assert inspector is not None
    inspector._rules[0].detector.find = _broken  # type: ignore[method-assign]
    with pytest.raises(BrokenRule):
        inspector.hits("a password: b")
    assert sample(metrics.registry, "guard_failures_total", rule="one", fail="closed") == 1


def _broken(text: str) -> list[Finding]:
    raise RuntimeError(text)
