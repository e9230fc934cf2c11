"""A pattern's grammar lets through every match, spelt as JSON spells it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experts.json_schema.grammar import grammar_of
from experts.json_schema.pattern_match import is_match
from tests.experts.ebnf import accepts
from tests.experts.json_schema_patterns import EMAIL, PATTERNS


def can_be_written(text: str, pattern: str) -> bool:
    written = grammar_of({"type": "string", "pattern": pattern})
    return accepts(written, json.dumps(text, ensure_ascii=False))


@given(PATTERNS, st.text('ab0 "\\\n', max_size=5))
def test_every_match_can_be_written(pattern: str, text: str) -> None:
    assert can_be_written(text, pattern) or not is_match(text, pattern)


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        ("^[a-c]{2,3}$", ["ab", "abc"], ["a", "abcd", "xy"]),
        ("^a|b$", ["ax", "xb"], ["xa", "bx"]),
        ("^(?:red|green)$", ["red", "green"], ["blue", "redd"]),
        ('^[^"]+$', ["a\\b", "\t"], ['a"b', ""]),
        ("^$", [""], ["a"]),
        (EMAIL, ["bob@example.com"], ["bob", "bob@example"]),
        ("^(a*)*$", ["aa", "b"], []),  # cannot be said: any string, and the check decides
    ],
)
def test_what_a_grammar_can_say(pattern: str, good: list[str], bad: list[str]) -> None:
    assert [text for text in good if not can_be_written(text, pattern)] == []
    assert [text for text in bad if can_be_written(text, pattern)] == []
