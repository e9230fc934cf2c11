"""Terminals: a literal is itself whatever it holds, numbers keep to their bounds, a class lacks what it must."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experts.json_schema.conformance import Schema
from experts.json_schema.grammar_terminals import all_but, integer, literal, number
from tests.experts.ebnf import accepts

BASE = 'integer ::= "-"? [0-9]+\nnumber ::= "-"? [0-9]+ ("." [0-9]+)?'


def of(rule: str) -> str:
    return f"root ::= {rule}\n{BASE}"


@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=8))
def test_a_literal_is_itself_alone(text: str) -> None:
    grammar = of(literal(text))
    assert accepts(grammar, text)
    assert not accepts(grammar, text + "x")


@pytest.mark.parametrize(
    "schema",
    [
        {"minimum": 3, "maximum": 17},
        {"minimum": -4, "maximum": 4, "multipleOf": 2},
        {"minimum": 0, "maximum": 5000},
        {"exclusiveMinimum": -3, "exclusiveMaximum": 3},
    ],
)
def test_whole_numbers_keep_to_bounds_and_steps(schema: Schema) -> None:
    grammar = of(integer({"type": "integer", **schema}))
    low = schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)
    high = schema.get("maximum", schema.get("exclusiveMaximum", 0) - 1)
    for value in (low - 1, low, low + 1, 0, high - 1, high, high + 1):
        is_right = low <= value <= high and value % schema.get("multipleOf", 1) == 0
        assert accepts(grammar, json.dumps(value)) is is_right


def test_numbers_without_bounds_are_any_and_with_bounds_within_them() -> None:
    assert integer({"type": "integer"}) == "integer"
    assert number({"type": "number"}) == "number"
    grammar = of(number({"type": "number", "minimum": 0, "maximum": 1}))
    assert [accepts(grammar, text) for text in ("0", "0.5", "1", "1.5", "-0.5")] == [True, True, True, False, False]


@given(st.sets(st.sampled_from('abz"\\é漢'), max_size=4), st.sampled_from("abcz é漢😀"))
def test_a_class_lacks_what_it_must(left_out: set[str], character: str) -> None:
    grammar = of(all_but(dict.fromkeys(left_out)))
    assert accepts(grammar, character) is (character not in left_out)
    assert not accepts(grammar, '"')
