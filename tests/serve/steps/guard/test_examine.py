"""One text under the rules: findings with their reasons, and the verdict that follows from them."""

import pytest

from serve.steps.guard.examine import NoRule, examined, verdict
from serve.steps.guard.rules import Stage
from tests.serve.steps.guard.rule_sets import rule_set


async def test_findings_have_places_and_reasons() -> None:
    rules = rule_set({"find": {"kind": "personal_data"}})
    told = await examined("mail a@b.co", rules, Stage.OUTPUT)
    assert (told["verdict"], told["masked"]) == ("mask", "mail <EMAIL_1>")
    assert [(hit["why"], hit["found"], hit["start"]) for hit in told["hits"]] == [("personal_data", "a@b.co", 5)]


async def test_a_stage_that_nobody_looks_at() -> None:
    with pytest.raises(NoRule, match="no rule looks at documents"):
        await examined("a", rule_set({"find": {"kind": "credentials"}}), Stage.DOCUMENTS)


def test_nothing_found_passes() -> None:
    assert verdict([]) == "pass"
