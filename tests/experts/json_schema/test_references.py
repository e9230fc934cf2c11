"""Steps of a plan refer to earlier steps and to no others: in what is read, in the check, and in the grammar."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experts.json_schema.conformance import conforms
from experts.json_schema.grammar import grammar_of
from experts.json_schema.reduction import reduce_schema
from experts.json_schema.references import MAX_STEPS, references, text_pattern, with_references
from moegate.client.references import references as clients_references
from tests.experts.ebnf import accepts

TEXTS = st.text(alphabet='$0123459{}.,[]ab_- "\\\n', max_size=14)
SCHEMA = reduce_schema(
    {
        "type": "object",
        "properties": {
            "text": {"type": "string"},
            "count": {"type": "integer", "minimum": 1},
            "unit": {"enum": ["C", "F"]},
            "list": {"type": "array", "items": {"type": "number"}},
            "part": {"type": "object", "properties": {"is": {"type": "boolean"}}, "required": ["is"]},
            "any": {},
        },
    },
    "forgiving",
)


@given(st.recursive(st.none() | TEXTS | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner)))
def test_whoever_carries_a_plan_out_reads_the_same(value: Any) -> None:
    assert list(references(value)) == list(clients_references(value))


@pytest.mark.parametrize(
    ("arguments", "step", "fits"),
    [
        ({"text": "plain"}, 1, True),
        ({"text": "$1"}, 1, False),
        ({"text": "$1"}, 2, True),
        ({"text": "a $1.b and $2[0]"}, 3, True),
        ({"text": "a $1.b and $3"}, 3, False),
        ({"text": "costs $250, or $0.50"}, 1, True),
        ({"text": "costs $12"}, 5, False),  # a step that may come
        ({"text": "$x $"}, 1, True),
        ({"count": 3}, 4, True),
        ({"count": 0}, 4, False),
        ({"count": "$2.n"}, 3, True),
        ({"count": "$3"}, 3, False),
        ({"count": "$1 or so"}, 3, False),
        ({"unit": "C"}, 1, True),
        ({"unit": "$1"}, 2, True),
        ({"unit": "K"}, 2, False),
        ({"list": [1, "$1", 2.5]}, 2, True),
        ({"list": "$1.rows"}, 2, True),
        ({"list": ["$2"]}, 2, False),
        ({"part": {"is": "$1.ok"}}, 2, True),
        ({"part": {"is": "yes"}}, 2, False),
        ({"any": {"deep": ["$1", {"er": "$1"}]}}, 2, True),
        ({"any": {"deep": ["$2"]}}, 2, False),
        ({"any": {"a": {"b": {"c": {"d": 1}}}}}, 2, False),  # nested further than a plan says anything
    ],
)
def test_what_fits_at_which_step(arguments: dict[str, Any], step: int, fits: bool) -> None:
    schema = with_references(SCHEMA, step)
    assert conforms(arguments, schema) is fits
    assert accepts(grammar_of(schema), json.dumps(arguments)) is fits


def backward(value: object, step: int) -> bool:
    return all(number < step or number > MAX_STEPS for number in references(value))


@given(TEXTS, st.integers(1, MAX_STEPS))
def test_no_text_that_the_grammar_lets_through_refers_to_a_later_step(text: str, step: int) -> None:
    schema = {"type": "string", "pattern": text_pattern(step)}
    if conforms(text, schema):
        assert backward(text, step)
    for written in (json.dumps(text), json.dumps(text).replace("$", "\\u0024")):
        if accepts(grammar_of(schema), written):
            assert backward(json.loads(written), step)


@given(st.integers(1, 999), st.integers(1, MAX_STEPS), st.sampled_from(["", " a", ".b", "[0]", "."]))
def test_any_earlier_step_and_any_price_can_be_written(number: int, step: int, behind: str) -> None:
    schema = {"type": "string", "pattern": text_pattern(step)}
    assert conforms(f"x ${number}{behind}", schema) is (number < step or number > MAX_STEPS)


def test_choices_stay_choices_and_exactly_one_becomes_any() -> None:
    either = {"oneOf": [{"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}, SCHEMA]}
    found = with_references(either, 2)
    assert list(found) == ["anyOf"]
    assert conforms({"a": "$1"}, found)


def test_nothing_stays_nothing_and_deep_values_end() -> None:
    schema = with_references({"type": "object", "properties": {"no": {"not": {}}}, "additionalProperties": False}, 3)
    assert not conforms({"no": "$1"}, schema)
    deep: Any = "$1"
    for _ in range(500):
        deep = [deep]
    assert list(references(deep)) == []
