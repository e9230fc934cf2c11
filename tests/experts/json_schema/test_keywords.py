"""Keywords' values: read as JSON Schema means them, or refused with the place and the keyword."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft4Validator, Draft202012Validator

from experts.json_schema.keywords import (
    MAX_ENUM,
    MAX_NAME,
    SchemaError,
    is_name,
    read_bounds,
    read_lengths,
    read_values,
    serialised,
    short,
)
from tests.experts.schemas import VALUES

BOUNDS = st.integers(-9, 0) | st.floats(-9, 0)
NUMBERS = st.integers(-12, 12) | st.floats(-12, 12)


@given(
    st.fixed_dictionaries(
        {}, optional={"minimum": BOUNDS, "maximum": BOUNDS.map(abs), "multipleOf": st.sampled_from([1, 3, 0.5])}
    ),
    st.fixed_dictionaries({}, optional={"exclusiveMinimum": st.booleans(), "exclusiveMaximum": st.booleans()}),
    NUMBERS,
)
def test_bounds_of_draft_4_keep_their_meaning(bounds: Any, exclusive: Any, number: float) -> None:
    schema = {**bounds, **exclusive}
    found = read_bounds(schema, "#")
    assert Draft202012Validator(found).is_valid(number) == Draft4Validator(schema).is_valid(number)


@given(
    st.fixed_dictionaries(
        {}, optional={"minimum": BOUNDS, "exclusiveMinimum": BOUNDS, "exclusiveMaximum": BOUNDS.map(abs)}
    )
)
def test_bounds_of_later_drafts_stay_as_they_are(schema: dict[str, Any]) -> None:
    assert read_bounds({**schema, "type": "number", "title": "x"}, "#") == schema


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"minimum": "3"}, "here: minimum is a number"),
        ({"maximum": True}, "here: maximum is a number"),
        ({"exclusiveMinimum": float("nan")}, "here: exclusiveMinimum is a number"),
        ({"maximum": float("-inf")}, "here: maximum is a number"),
        ({"multipleOf": 0}, "here: multipleOf is above 0"),
        ({"multipleOf": -0.5}, "here: multipleOf is above 0"),
        ({"minimum": 2, "maximum": 1.5}, "here: minimum is above maximum"),
        ({"minimum": [], "exclusiveMinimum": True}, "here: exclusiveMinimum is a number"),
    ],
)
def test_a_wrong_bound_is_named(schema: dict[str, Any], words: str) -> None:
    with pytest.raises(SchemaError, match=f"^{words}$"):
        read_bounds(schema, "here")


def test_lengths_are_whole_numbers() -> None:
    assert read_lengths({"minItems": 2.0, "maxItems": 2}, "minItems", "maxItems", "#") == {"minItems": 2, "maxItems": 2}
    assert read_lengths({"maxLength": 0, "minItems": -1}, "minLength", "maxLength", "#") == {"maxLength": 0}


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (-1, None, "minLength is a whole number from 0"),
        (None, 1.5, "maxLength is a whole number from 0"),
        (True, None, "minLength is a number"),
        (3, 2, "minLength is above maxLength"),
    ],
)
def test_a_wrong_length_is_named(low: object, high: object, words: str) -> None:
    with pytest.raises(SchemaError, match=f"^here: {words}$"):
        read_lengths({"minLength": low, "maxLength": high}, "minLength", "maxLength", "here")


def test_an_enumerations_size_counts_what_a_grammar_writes() -> None:
    assert read_values(["ab", 12, None, {"é": [1]}], "#")[1] == len("ab") + len("12") + len("null") + len('{"é": [1]}')


def nested(levels: int) -> object:
    return json.loads("[" * levels + "1" + "]" * levels)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([], "an enum holds 1 to 1000 values"),
        ("ab", "an enum holds 1 to 1000 values"),
        (["x"] * (MAX_ENUM + 1), "an enum holds 1 to 1000 values"),
        (["\udc00"], "finite values in UTF-8"),
        ([{"a": float("nan")}], "finite values in UTF-8"),
        ([nested(17)], "at most 16 levels"),
        ([{"a": nested(16)}], "at most 16 levels"),
    ],
)
def test_a_wrong_enumeration_is_named(values: object, words: str) -> None:
    with pytest.raises(SchemaError, match=f"^here: .*{words}$"):
        read_values(values, "here")


def test_the_largest_enumeration_and_the_deepest_value_are_taken() -> None:
    assert read_values(["x"] * MAX_ENUM, "#") == (["x"] * MAX_ENUM, MAX_ENUM)
    assert read_values([nested(16)], "#")[0] == [nested(16)]


@given(VALUES)
def test_a_value_is_written_on_one_line_and_means_the_same(value: object) -> None:
    text = serialised(value)
    assert "\n" not in text
    assert json.loads(text) == value


@pytest.mark.parametrize("name", ["", "x" * MAX_NAME, "日本", "a\nb"])
def test_names_that_a_property_may_have(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize("name", ["x" * (MAX_NAME + 1), "a\ud83d", "\udfff"])
def test_names_that_a_property_may_not_have(name: str) -> None:
    assert not is_name(name)


@given(st.text())
def test_a_message_quotes_no_more_than_a_line(text: str) -> None:
    told = short(text)
    assert len(told) <= 83
    assert told.isprintable()
    assert told.startswith(text[:80]) or not text.isprintable()
