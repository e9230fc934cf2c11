"""Rules made ready: whom they apply to, what happens where one breaks, what a fuzzed pattern does."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.steps.guard.compiled import BrokenRule, RuleSet
from serve.steps.guard.rules import GuardFile, GuardFileError, Rule, Stage
from tests.serve.steps.guard.rule_sets import all_kinds, rule_set

EMAILS = {"find": {"kind": "personal_data", "entities": ["email"]}}


def test_a_rule_looks_where_and_at_whom_it_says() -> None:
    rules = rule_set(EMAILS | {"keys": ["alice"], "experts": ["coder"]})
    assert rules.at(Stage.OUTPUT, key="alice", expert="coder") is not None
    assert rules.at(Stage.OUTPUT, key="bob", expert="coder") is None
    assert rules.at(Stage.OUTPUT, key="alice", expert="advisor") is None
    assert rules.at(Stage.INPUT, key="alice") is None


def test_spans_are_of_the_text_as_it_came() -> None:
    text = "é\u200b my card: 4\u200b111 1111 1111 1111\u00a0!"
    inspector = rule_set({"find": {"kind": "personal_data"}}).at(Stage.OUTPUT)
    assert inspector is not None
    [hit] = inspector.hits(text)
    assert text[hit.start : hit.end] == "4\u200b111 1111 1111 1111"


class Breaks:
    hint = None

    def find(self, text: str) -> list[Any]:
        raise RuntimeError(text)

    def open_from(self, text: str) -> int:
        raise RuntimeError(text)


@pytest.mark.parametrize(("fail", "raises"), [("open", False), ("closed", True)])
def test_a_broken_rule_fails_as_it_says_and_its_log_holds_no_text(
    fail: str, raises: bool, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[str] = []
    file = GuardFile.model_validate({"rules": [EMAILS | {"name": "a", "at": ["input"], "fail": fail}]})
    rules = RuleSet(file, on_failure=lambda rule: heard.append(rule.name))
    rules._made["a"] = Breaks()
    inspector = rules.at(Stage.INPUT)
    assert inspector is not None
    if raises:
        for look in (inspector.hits, inspector.open_from):
            with pytest.raises(BrokenRule):
                look("very secret")
    else:
        assert inspector.hits("very secret") == []
        assert inspector.open_from("very secret") == len("very secret")
    assert heard == ["a", "a"]
    assert "very secret" not in caplog.text


@pytest.mark.parametrize("pattern", ["(", "a**", r"(?=x)", r"\1", "x*", "[[:foo:]]"])
def test_a_pattern_that_cannot_be_used_is_refused_by_the_rules_name(pattern: str) -> None:
    with pytest.raises(GuardFileError, match="rule rule0"):
        rule_set({"find": {"kind": "phrases", "patterns": [pattern]}})


@given(
    st.text(alphabet="ab()[]*+?{}1,|\\.^$", min_size=1, max_size=24),
    st.sampled_from(["a" * 3000, "ab" * 1500, "(" * 3000]),
)
def test_no_pattern_is_catastrophic(pattern: str, text: str) -> None:
    try:
        rules = rule_set({"find": {"kind": "phrases", "patterns": [pattern]}})
    except GuardFileError:
        return
    inspector = rules.at(Stage.OUTPUT)
    assert inspector is not None
    began = time.process_time()
    inspector.hits(text)
    assert time.process_time() - began < 5  # a backtracking engine takes years over (a+)+b


@pytest.mark.parametrize("unit", ["a", "1", "1 ", "a@", "-----BEGIN ", "password: ", "<", "é", "+1", "a.b", "::1"])
def test_no_text_is_catastrophic(unit: str) -> None:
    inspector = all_kinds().at(Stage.OUTPUT, prompts=("a b c d e f",))
    assert inspector is not None

    def seconds(size: int) -> float:
        began = time.process_time()
        inspector.hits(unit * (size // len(unit)))
        return time.process_time() - began

    seconds(1_000)
    assert seconds(80_000) < 40 * max(seconds(10_000), 0.005), "it takes more than linear time"


def test_the_words_of_a_phrase_are_whole_and_in_any_case() -> None:
    inspector = rule_set({"find": {"kind": "phrases", "words": ["Blau", "größe"], "allow": ["BLAU"]}}).at(Stage.OUTPUT)
    assert inspector is not None
    assert [hit.entity for hit in inspector.hits("himmelblau blauer GRÖSSE Größe")] == ["PHRASE"]
    assert inspector.hits("blau") == []


def test_a_rule_knows_its_own_fields() -> None:
    rule = Rule.model_validate(EMAILS | {"name": "a", "at": ["input"]})
    assert (rule.action.value, rule.fail) == ("monitor", "closed")
