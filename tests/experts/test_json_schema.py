"""What is left of a schema is finite, checked and small; the rest is refused by name or left out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experts.conformance import conforms
from experts.json_schema import Schema, SchemaError, parse_schema, reduce_schema, without_lengths

NODE = {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}
DEEP: dict[str, Any] = {"type": "string"}
for _ in range(20):
    DEEP = {"type": "array", "items": DEEP}


@pytest.mark.parametrize(
    ("schema", "reduced"),
    [
        (True, {}),
        ({"description": "anything"}, {}),
        (
            {"type": "string", "title": "x", "minLength": 1, "maxLength": 2.0},
            {"type": "string", "minLength": 1, "maxLength": 2},
        ),
        ({"type": "string", "format": "date"}, {"type": "string", "format": "date"}),
        ({"type": ["string", "null"]}, {"anyOf": [{"type": "string"}, {"type": "null"}]}),
        ({"type": ["integer"], "minimum": 3}, {"type": "integer", "minimum": 3}),
        ({"enum": ["a", 1, None]}, {"enum": ["a", 1, None]}),
        ({"const": True}, {"enum": [True]}),
        ({"allOf": [{"type": "null"}]}, {"type": "null"}),
        ({"type": "array"}, {"type": "array", "items": {}}),
        ({"type": "object"}, {"type": "object"}),
        (
            {"properties": {"a": {"$ref": "#/$defs/x~1y"}}, "required": ["a"], "$defs": {"x/y": {"type": "boolean"}}},
            {"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"]},
        ),
        (
            {"type": "object", "required": ["a", "a"], "additionalProperties": False},
            {"type": "object", "properties": {"a": {}}, "required": ["a"], "additionalProperties": False},
        ),
    ],
)
def test_reduces(schema: object, reduced: Schema) -> None:
    assert reduce_schema(schema, "strict") == reduced


WRONG: dict[str, tuple[object, str]] = {
    "no schema": (7, "is not a schema"),
    "false": (False, "is not a schema"),
    "unknown type": ({"type": "banana"}, "a type is one of"),
    "type is no text": ({"type": 7}, "a type is one of"),
    "no choice": ({"anyOf": []}, "at least one schema"),
    "no values": ({"enum": []}, "an enum holds 1 to"),
    "values are no list": ({"enum": "ab"}, "an enum holds 1 to"),
    "nested values": ({"enum": [[1]]}, "an enum holds text"),
    "unprintable values": ({"enum": ["\ud800"]}, "an enum holds text"),
    "long enums": ({"enum": [f"{n} {'x' * 50}" for n in range(500)]}, "longer than"),
    "properties are a list": ({"type": "object", "properties": []}, "properties is an object"),
    "required is text": ({"type": "object", "required": "ab"}, "properties is an object"),
    "a quote in a name": ({"type": "object", "properties": {'a"b': {}}}, "plain names"),
    "many properties": ({"type": "object", "properties": {f"p{n}": {} for n in range(65)}}, "at most 64"),
    "lengths upside down": ({"type": "string", "minLength": 3, "maxLength": 2}, "minLength is above maxLength"),
    "a negative length": ({"type": "array", "minItems": -1}, "a whole number"),
    "bounds upside down": ({"type": "number", "minimum": 0.5, "maximum": 0.2}, "minimum is above maximum"),
    "a bound beyond reason": ({"type": "integer", "minimum": -1e300}, "a whole number"),
    "a remote reference": ({"$ref": "https://127.0.0.1/x"}, "must point into the schema itself"),
    "a reference to nowhere": ({"$ref": "#/$defs/x"}, "points nowhere"),
    "itself": ({"$ref": "#"}, "cyclic"),
    "a cycle": ({"$ref": "#/$defs/node", "$defs": {"node": NODE}}, "cyclic"),
    "a cycle of two": ({"$ref": "#/a", "a": {"$ref": "#/b"}, "b": {"$ref": "#/a"}}, "cyclic"),
    "too deep": (DEEP, "levels"),
    "too large": ({"anyOf": [{"anyOf": [{}] * 30}] * 30}, "parts"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named(name: str) -> None:
    schema, words = WRONG[name]
    mode = "loose" if name.startswith("a cycle") else "strict"
    with pytest.raises(SchemaError, match=words):
        reduce_schema(schema, mode)  # type: ignore[arg-type]  # the literals above
    json.dumps(reduce_schema(schema, "forgiving"))


@pytest.mark.parametrize(
    ("schema", "rest"),
    [
        ({"type": "string", "pattern": "^a+$"}, {"type": "string"}),
        ({"type": "string", "format": "postcode"}, {"type": "string"}),
        ({"type": "string", "maxLength": 2001}, {"type": "string"}),
        ({"type": "integer", "multipleOf": 3}, {"type": "integer"}),
        ({"not": {}}, {}),
        ({"allOf": [{"type": "string"}, {"minLength": 3}]}, {}),
        ({"if": {}, "then": {}}, {}),
    ],
)
def test_what_cannot_be_enforced_is_refused_or_left_out(schema: Schema, rest: Schema) -> None:
    with pytest.raises(SchemaError):
        reduce_schema(schema, "strict")
    assert reduce_schema(schema, "loose") == rest


def test_messages_stay_short() -> None:
    with pytest.raises(SchemaError) as caught:
        reduce_schema({"type": "object", "properties": {"x" * 190: {"type": "banana"}}}, "strict")
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("text", ["{", "NaN", '{"minimum": Infinity}', "[" * 10_000, '"' + "x" * 70_000 + '"'])
def test_what_is_not_json_is_refused(text: str) -> None:
    with pytest.raises(SchemaError):
        parse_schema(text)


def test_lengths_can_be_left_out() -> None:
    sized = {"type": "string", "maxLength": 9}
    schema = {
        "anyOf": [
            {"type": "array", "items": sized, "minItems": 2},
            {"type": "object", "properties": {"maxLength": sized}, "required": [], "additionalProperties": sized},
        ]
    }
    bare = {"type": "string"}
    assert without_lengths(schema) == {
        "anyOf": [
            {"type": "array", "items": bare},
            {"type": "object", "properties": {"maxLength": bare}, "required": [], "additionalProperties": bare},
        ]
    }


KEYWORDS = ["type", "properties", "required", "items", "anyOf", "oneOf", "allOf", "enum", "const", "$ref", "format"]
KEYWORDS += ["minimum", "maxLength", "a", "b"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=True) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYWORDS),
            inner | st.sampled_from(["object", "string", "integer", "#", "#/a", "date"]),
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(JSON, JSON)
def test_nothing_unforeseen_comes_of_any_schema(schema: object, value: object) -> None:
    reduced = reduce_schema(schema, "forgiving")
    json.dumps(reduced)
    assert conforms(value, reduced) in (True, False)
    for mode in ("strict", "loose"):
        try:
            reduced = reduce_schema(schema, mode)  # type: ignore[arg-type]  # the literals above
        except SchemaError:
            continue
        assert reduce_schema(reduced, "strict") == reduced, "reducing twice changes nothing"


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({}, [None, 1, "x", [], {}], []),
        ({"enum": [1, "1", None]}, [1, "1", None], [True, 1.0, "2", 0]),
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
        ({"type": "object", "additionalProperties": {"type": "integer"}}, [{}, {"a": 1}], [{"a": "1"}]),
    ],
)
def test_conforms(schema: Schema, good: list[object], bad: list[object]) -> None:
    assert all(conforms(value, reduce_schema(schema, "strict")) for value in good)
    assert not any(conforms(value, reduce_schema(schema, "strict")) for value in bad)
