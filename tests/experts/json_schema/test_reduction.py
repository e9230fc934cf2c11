"""What is left of a schema is finite, checked and small; the rest is refused by name or left out."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from experts.json_schema.conformance import conforms
from experts.json_schema.reduction import Mode, Schema, SchemaError, reduce_schema
from tests.experts.schemas import SCHEMAS, VALUES, following, validator

NODE = {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}
DEEP: dict[str, Any] = {"type": "string"}
for _ in range(20):
    DEEP = {"type": "array", "items": DEEP}


@pytest.mark.parametrize(
    ("schema", "reduced"),
    [
        (True, {}),
        ({"description": "anything"}, {}),
        ({"oneOf": [{"type": "null"}], "discriminator": {"propertyName": "kind"}}, {"type": "null"}),
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
            {"type": "object", "required": ["a", "a"]},
            {"type": "object", "properties": {"a": {}}, "required": ["a"]},
        ),
    ],
)
def test_reduces(schema: object, reduced: Schema) -> None:
    assert reduce_schema(schema, "strict") == reduced


WRONG: dict[str, tuple[object, str]] = {
    "no schema": (7, "is not a schema"),
    "false": (False, "no value follows"),
    "an object without what it requires": ({"required": ["a"], "additionalProperties": False}, "no value follows"),
    "parts that contradict each other": ({"allOf": [{"type": "string"}, {"type": "null"}]}, "no value follows"),
    "no whole number": ({"type": "integer", "minimum": 0.2, "maximum": 0.8}, "no value follows"),
    "two formats": ({"type": "string", "format": "date", "allOf": [{"format": "email"}]}, "two formats"),
    "too many combinations": ({"allOf": [{"anyOf": [{"minLength": n} for n in range(8)]}] * 8}, "combinations"),
    "unknown type": ({"type": "banana"}, "a type is one of"),
    "type is no text": ({"type": 7}, "a type is one of"),
    "no choice": ({"anyOf": []}, "at least one schema"),
    "no values": ({"enum": []}, "an enum holds 1 to"),
    "values are no list": ({"enum": "ab"}, "an enum holds 1 to"),
    "half a character": ({"enum": ["\ud800"]}, "finite values in UTF-8"),
    "no finite value": ({"enum": [1e999]}, "finite values in UTF-8"),
    "deep values": ({"enum": [json.loads("[" * 900 + "]" * 900)]}, "levels"),
    "long enums": ({"enum": [f"{n} {'x' * 50}" for n in range(500)]}, "longer than"),
    "properties are a list": ({"type": "object", "properties": []}, "properties is an object"),
    "required is text": ({"type": "object", "required": "ab"}, "properties is an object"),
    "a long name": ({"type": "object", "properties": {"x" * 201: {}}}, "short names"),
    "half a character in a name": ({"type": "object", "properties": {"\ud800": {}}}, "short names"),
    "many properties": ({"type": "object", "properties": {f"p{n}": {} for n in range(1001)}}, "at most 1000"),
    "lengths upside down": ({"type": "string", "minLength": 3, "maxLength": 2}, "minLength is above maxLength"),
    "a negative length": ({"type": "array", "minItems": -1}, "a whole number"),
    "bounds upside down": ({"type": "number", "minimum": 0.5, "maximum": 0.2}, "minimum is above maximum"),
    "a bound that is no number": ({"type": "integer", "minimum": "1"}, "minimum is a number"),
    "an endless bound": ({"type": "number", "maximum": float("inf")}, "maximum is a number"),
    "a step of nothing": ({"type": "number", "multipleOf": 0}, "multipleOf is above 0"),
    "items of a list that is none": ({"type": "array", "prefixItems": {}}, "prefixItems is a list"),
    "a remote reference": ({"$ref": "https://127.0.0.1/x"}, "must point into the schema itself"),
    "a reference to nowhere": ({"$ref": "#/$defs/x"}, "points nowhere"),
    "itself": ({"$ref": "#"}, "no value"),
    "endless": ({"$ref": "#/$defs/node", "$defs": {"node": {**NODE, "required": ["next"]}}}, "no value"),
    "a cycle of two": ({"$ref": "#/a", "a": {"$ref": "#/b"}, "b": {"$ref": "#/a"}}, "no value"),
    "a pattern that is none": ({"type": "string", "pattern": "("}, "too early|not closed"),
    "a pattern that is no text": ({"type": "string", "pattern": 7}, "too early|not closed"),
    "a pattern that looks back": ({"type": "string", "pattern": "(a)\\1"}, "back-references"),
    "too deep": (DEEP, "levels"),
    "too large": ({"anyOf": [{"anyOf": [{}] * 60}] * 60}, "parts"),
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
        ({"type": "string", "pattern": "^(a)\\1$"}, {"type": "string"}),
        ({"type": "string", "format": "postcode"}, {"type": "string"}),
        ({"type": "object", "propertyNames": {"minLength": 2}}, {"type": "object"}),
        ({"not": {"type": "string"}}, {}),
        ({"if": {}, "then": {}}, {}),
        ({"oneOf": [{"contains": {}}, {"maxContains": 2}]}, {"anyOf": [{}, {}]}),
        ({"type": "object", "patternProperties": {"^x": {}}, "additionalProperties": False}, {"type": "object"}),
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


def texts(*names: str) -> Schema:
    return {"type": "object", "properties": {name: {"type": "string"} for name in names}, "required": list(names)}


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({**texts("a"), "anyOf": [texts("b"), texts("c")]}, [{"a": "", "b": ""}, {"a": "", "c": ""}], [1.1, {"a": ""}]),
        ({"allOf": [texts("a"), texts("b")]}, [{"a": "", "b": ""}], [{"a": ""}, {"b": ""}, [], 7]),
        (
            {"properties": {"a": {"type": "string"}}, "required": ["a"], "allOf": [texts("b")]},
            [{"a": "", "b": ""}],
            [{"a": ""}],
        ),
        (
            {"$ref": "#/$defs/x", "required": ["b"], "$defs": {"x": texts("a")}},
            [{"a": "", "b": 1}],
            [{"a": ""}, {"b": 1}],
        ),
        ({"$ref": "#/$defs/x", "maxLength": 2, "$defs": {"x": {"type": "string"}}}, ["ab"], ["abc", 1]),
        ({"type": "string", "enum": ["a", 1]}, ["a"], [1]),
        ({"const": 3, "type": "integer", "minimum": 2}, [3, 3.0], [2]),
        ({"type": ["string", "null"], "anyOf": [{"minLength": 2}, {"const": None}]}, ["ab", None], ["a", 1]),
        ({"oneOf": [{"type": "integer", "minimum": 0}, {"type": "integer", "maximum": 9}]}, [-1, 10], [5]),
        (
            {
                "type": "object",
                "additionalProperties": {"type": "integer"},
                "allOf": [{"properties": {"a": {"minimum": 3}}}],
            },
            [{"a": 3}],
            [{"a": 2}, {"a": "x"}, {"b": "x"}],
        ),
        (
            {"properties": {"a": {"type": "array", "prefixItems": [{"type": "string"}], "items": False}}},
            [{"a": ["x"]}, {"a": []}],
            [{"a": [1]}, {"a": ["x", 1]}],
        ),
    ],
)
def test_what_stands_beside_each_other_holds_together(schema: Any, good: list[object], bad: list[object]) -> None:
    for mode in ("strict", "loose", "forgiving"):
        reduced = reduce_schema(schema, mode)  # type: ignore[arg-type]  # the literals above
        assert [value for value in good if not conforms(value, reduced)] == []
        assert [value for value in bad if conforms(value, reduced)] == []


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"properties": {"a": {"anyOf": [{"const": 1}]}, "b": {"$ref": "#/properties/a/anyOf/0"}}}, {"b": 1}, {"b": 2}),
        (
            {"properties": {"a": {"$ref": "#/$defs/Box%3Cstring%3E"}}, "$defs": {"Box<string>": {"type": "null"}}},
            {"a": None},
            {"a": 1},
        ),
        (
            {"properties": {"a": {"$ref": "#/$defs/100%25~1x"}}, "$defs": {"100%/x": {"type": "null"}}},
            {"a": None},
            {"a": 1},
        ),
        ({"type": "integer", "minimum": -(2**63), "maximum": 2**64}, 2**64, 2**64 + 1),
        ({"type": "number", "exclusiveMaximum": 1e300}, 1e299, 1e301),
        ({"type": "string", "maxLength": 2**60}, "x", 1),
        ({"type": "array", "items": [{"const": 1}, {"const": 2}]}, [1, 2, 3], [2]),
        ({"type": "array", "items": [{"const": 1}], "additionalItems": {"const": 2}}, [1, 2], [1, 1]),
        ({"type": "array", "items": False}, [], [1]),
        (
            {"type": "object", "properties": {"a\u00a0b": {"type": "null"}}, "additionalProperties": False},
            {"a\u00a0b": None},
            {"a b": None},
        ),
        ({"enum": ["\u3000", "a\nb", "\u200d", "", "👩\u200d💻", "می\u200cخواهم"]}, "می\u200cخواهم", "میخواهم"),
        (
            {"properties": {name: {"const": 1} for name in ("", "\n", 'a"b', "\\", "\u2028", "क्\u200dष")}},
            {"क्\u200dष": 1},
            {"": 2},
        ),
        ({"enum": [int("7" * 400), {"a": [1, None]}]}, {"a": [1.0, None]}, 7),
        ({"type": "integer", "minimum": 3, "exclusiveMinimum": True}, 4, 3),
        ({"type": "integer", "minimum": 0.5, "multipleOf": 3}, 3, 0),
        ({"type": "string", "format": "date", "minLength": 3}, "2024-01-31", "2024-01-32"),
        ({"not": {}, "type": "string"} | {"not": {"const": 1}}, "x", 1),
    ],
)
def test_valid_schemas_are_taken(schema: Any, good: object, bad: object) -> None:
    for mode in ("loose", "forgiving"):
        reduced = reduce_schema(schema, mode)  # type: ignore[arg-type]  # the literals above
        assert (conforms(good, reduced), conforms(bad, reduced)) == (True, False)


@settings(suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow], deadline=None)
@given(st.data())
def test_a_reduced_schema_says_what_the_schema_says(data: st.DataObject) -> None:
    """In strict mode exactly so, in the others no less is let through: `jsonschema` judges."""
    schema = data.draw(SCHEMAS)
    value = data.draw(following(schema) | VALUES)
    is_valid = validator(schema).is_valid(value)
    for mode in ("strict", "loose", "forgiving"):
        try:
            reduced = reduce_schema(schema, mode)  # type: ignore[arg-type]  # the literals above
        except SchemaError as error:
            assume("no value follows" not in str(error) or is_valid is False)
            assert "no value follows" not in str(error) or not is_valid
            continue
        if mode == "strict":
            assert conforms(value, reduced) == is_valid, (schema, value)
        assert conforms(value, reduced) or not is_valid


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


LINKED = {
    "$ref": "#/$defs/node",
    "$defs": {
        "node": {
            "type": "object",
            "properties": {"v": {"type": "integer"}, "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
            "required": ["v", "next"],
            "additionalProperties": False,
        }
    },
}
TREE = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "children": {"type": "array", "items": {"$ref": "#"}}},
    "required": ["name", "children"],
    "additionalProperties": False,
}
TERM = {"anyOf": [{"type": "integer"}, {"type": "array", "prefixItems": [{"$ref": "#"}] * 4, "items": False}]}


def nested(value: Any, levels: int, inner: Callable[[Any], Any]) -> Any:
    for _ in range(levels):
        value = inner(value)
    return value


@pytest.mark.parametrize("mode", ["strict", "loose"])
@pytest.mark.parametrize(
    ("schema", "leaf", "inner"),
    [
        (LINKED, {"v": 0, "next": None}, lambda value: {"v": 1, "next": value}),
        (TREE, {"name": "x", "children": []}, lambda value: {"name": "y", "children": [value]}),
        (TERM, 1, lambda value: [1, value]),
    ],
)
def test_what_refers_to_itself_is_laid_out_as_often_as_there_is_room(
    schema: Schema, leaf: Any, inner: Callable[[Any], Any], mode: Mode
) -> None:
    reduced = reduce_schema(schema, mode)
    assert [conforms(nested(leaf, levels, inner), reduced) for levels in range(3)] == [True] * 3
    assert not conforms(nested(leaf, 20, inner), reduced)
    assert not conforms(nested("no", 2, inner), reduced)


def test_a_tools_argument_that_refers_to_itself_may_go_on() -> None:
    reduced = reduce_schema(TREE, "forgiving")
    assert conforms(nested({"name": "x", "children": []}, 20, lambda v: {"name": "y", "children": [v]}), reduced)
    assert not conforms({"name": 1, "children": []}, reduced)
