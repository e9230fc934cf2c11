"""Whether a value follows a reduced schema, held against what the `jsonschema` package says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from experts.json_schema.conformance import conforms, is_multiple, is_same
from experts.json_schema.reduction import Schema, SchemaError, reduce_schema
from tests.experts.schemas import SCHEMAS, VALUES, following, validator


@settings(suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(st.data())
def test_a_value_follows_a_reduced_schema_as_another_validator_says(data: st.DataObject) -> None:
    try:
        reduced = reduce_schema(data.draw(SCHEMAS), "strict")
    except SchemaError:
        assume(False)
    value = data.draw(following(reduced) | VALUES)
    assert conforms(value, reduced) == validator(reduced).is_valid(value)


@given(VALUES, VALUES)
def test_values_are_the_same_where_a_constant_is_met(one: Any, other: Any) -> None:
    assert is_same(one, other) == Draft202012Validator({"const": one}).is_valid(other)
    assert is_same(one, one)


@pytest.mark.parametrize(
    ("one", "other", "are_same"),
    [
        (1, 1.0, True),
        (1, True, False),
        (0, False, False),
        ([1, [0]], [1.0, [0]], True),
        ([True], [1], False),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ({"a": 0}, {"a": False}, False),
        ({"a": None}, {}, False),
        ([1, 2], [2, 1], False),
        ("1", 1, False),
    ],
)
def test_sameness(one: object, other: object, are_same: object) -> None:
    assert is_same(one, other) is are_same


@pytest.mark.parametrize(
    "schema",
    [{"type": "number"}, {"type": "integer"}, {"type": "number", "multipleOf": 2}, {"type": "number", "minimum": 0}],
)
def test_what_json_has_no_word_for_is_no_number(schema: Schema) -> None:
    assert not any(conforms(value, schema) for value in (float("inf"), float("-inf")))


def test_one_of_takes_no_value_that_follows_two() -> None:
    schema = {"oneOf": [{"type": "integer"}, {"type": "number", "minimum": 5}, {"enum": ["x"]}]}
    assert [conforms(value, schema) for value in (3, 5.5, 7, "x")] == [True, True, False, True]


def test_nothing_follows_not() -> None:
    assert not any(conforms(value, {"not": {}}) for value in (None, 0, "", [], {}))


# Not so near to nought that dividing gives nought: others take that for a whole number.
@given(
    st.floats(-1e15, 1e15).filter(lambda value: value == 0 or abs(value) > 1e-300) | st.integers(-(10**15), 10**15),
    st.sampled_from([1, 3, 0.5, 2.5]),
)
def test_multiples_are_what_other_validators_say(value: float, step: float) -> None:
    assert is_multiple(value, step) == Draft202012Validator({"multipleOf": step}).is_valid(value)


@pytest.mark.parametrize(
    ("value", "step", "is_one"),
    [
        (19.99, 0.01, True),
        (0.07, 0.01, True),
        (19.995, 0.01, False),
        (0.3, 0.1, True),
        (1.1, 0.05, True),
        (1e22, 3, False),
    ],
)
def test_steps_are_the_decimals_that_were_written(value: float, step: float, is_one: bool) -> None:
    assert is_multiple(value, step) is is_one


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({}, [None, 1, "x", [], {}], []),
        ({"enum": [1, "1", None]}, [1, 1.0, "1", None], [True, "2", 0]),
        ({"type": "string", "format": "date", "maxLength": 9}, [], ["2024-01-01", "x"]),
        ({"type": "number", "multipleOf": 0.25}, [0.5, 1, -0.75], [0.3, "1"]),
        ({"type": "integer", "minimum": 2, "maximum": 4}, [2, 4, 3.0], [1, 5, 2.5, "3", True, None]),
        ({"type": "number", "minimum": 0.5}, [0.5, 7], [0.4, "1", True]),
        ({"type": "string", "minLength": 1, "maxLength": 2}, ["a", "日本"], ["", "abc", 1]),
        ({"type": "boolean"}, [True, False], [0, "true", None]),
        ({"type": "null"}, [None], [0, "", False]),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 1}, [[1], [1, 2]], [[], ["1"], {}]),
        ({"anyOf": [{"type": "null"}, {"type": "string"}]}, [None, "x"], [1]),
        (
            {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
            [{"a": 1}, {"a": 1, "b": "x"}],
            [{}, {"a": "1"}, [], None],
        ),
        ({"type": "object", "additionalProperties": False}, [{}], [{"a": 1}]),
        ({"type": "array", "uniqueItems": True}, [[], [1, True, "1", [1]]], [[1, 1.0], [{"a": 1}, {"a": 1}]]),
        ({"type": "string", "pattern": "b+"}, ["abc", "b"], ["ac", "", 1]),
        ({"allOf": [{"type": "string", "pattern": "a"}, {"pattern": "^.b"}]}, ["ab", "xba"], ["ac", "xbx"]),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, [{}, {"a": 1}], [{"a": "1"}]),
    ],
)
def test_conforms(schema: Schema, good: list[object], bad: list[object]) -> None:
    assert all(conforms(value, reduce_schema(schema, "strict")) for value in good)
    assert not any(conforms(value, reduce_schema(schema, "strict")) for value in bad)
