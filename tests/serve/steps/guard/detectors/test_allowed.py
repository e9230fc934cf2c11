"""What is allowed is no finding of the rules that it is allowed to; of others it is."""

from typing import Any

import pytest

from serve.steps.guard.compiled import RuleSet
from serve.steps.guard.detectors.allowed import Allowed
from serve.steps.guard.rules import GuardFile, GuardFileError, Stage
from tests.serve.steps.guard.rule_sets import rule_set, streamed


def test_exactly_these_whatever_their_case() -> None:
    allowed = Allowed(["Ada@Example.com", "555 0100"], [r"test-\d+"], ["example.org"])
    for found in ("ada@example.COM", "555 0100", "TEST-12", "x@example.org", "x@mail.Example.org"):
        assert allowed.allows(found)
    for found in ("ada@example.com.evil.net", "5550100", "xtest-12", "x@badexample.org", "x@example.org.evil.net"):
        assert not allowed.allows(found)


def rules(**allowed: Any) -> RuleSet:
    find = {"kind": "allowed", **allowed}
    return rule_set(
        {"name": "people", "find": {"kind": "personal_data"}},
        {"name": "names", "find": {"kind": "phrases", "words": ["ada@example.com"]}},
        {"name": "known", "find": find, "action": "monitor"},
    )


def test_the_rules_that_it_names_find_nothing_there_and_it_is_counted() -> None:
    text = "Ask bob@example.com, eve@example.net or ada@example.com!"
    for pieces in ([text], list(text)):
        out, found = streamed(rules(domains=["example.com"], rules=["people"]), pieces)
        assert out == "Ask bob@example.com, <EMAIL_1> or <PHRASE_1>!"
        assert found == [("known", "ALLOWED"), ("known", "ALLOWED"), ("names", "PHRASE"), ("people", "EMAIL")]


def test_without_a_name_it_holds_for_all_rules() -> None:
    assert streamed(rules(domains=["example.com"]), ["ada@example.com "])[0] == "ada@example.com "


def test_it_holds_where_it_stands_alone() -> None:
    rule = {"name": "people", "find": {"kind": "personal_data"}, "at": ["input", "output"], "action": "mask"}
    known = {"name": "known", "find": {"kind": "allowed", "domains": ["example.com"]}, "at": ["input"]}
    made = RuleSet(GuardFile.model_validate({"rules": [rule, known]}))
    found = {stage: made.at(stage) for stage in (Stage.INPUT, Stage.OUTPUT)}
    names = {stage: [hit.rule.name for hit in one.hits("a@example.com")] for stage, one in found.items() if one}
    assert names == {Stage.INPUT: ["known"], Stage.OUTPUT: ["people"]}


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"find": {"kind": "allowed"}}, "list words, patterns or domains"),
        ({"find": {"kind": "allowed", "words": ["a"]}, "action": "block"}, "let this rule monitor"),
        ({"find": {"kind": "allowed", "words": ["a"], "rules": ["nobody"]}}, "what no rule finds: nobody"),
    ],
)
def test_a_wrong_rule_is_refused(rule: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GuardFile.model_validate({"rules": [{"name": "known", "at": ["input"], **rule}]})


def test_a_pattern_that_cannot_be_used_is_named_with_its_rule() -> None:
    with pytest.raises(GuardFileError, match="rule0: a pattern cannot be used"):
        rule_set({"find": {"kind": "allowed", "patterns": ["a("]}, "action": "monitor"})
