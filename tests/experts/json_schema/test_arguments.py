"""A tool's parameters: what a strict tool may say, what any other may, and how much work they may make."""

from __future__ import annotations

import json

import pytest

from experts.json_schema.arguments import ANY_OBJECT, MAX_WORK, NO_ARGUMENTS, arguments_of, strict_arguments
from experts.json_schema.keywords import SchemaError
from experts.json_schema.schema_text import MAX_BYTES

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
NOWHERE = {"type": "object", "properties": {"city": {"$ref": "#/$defs/Nope"}}, "required": ["city"]}
TREE = {"type": "object", "properties": {"below": {"anyOf": [{"type": "null"}, {"$ref": "#"}]}}, "required": ["below"]}


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        (NOWHERE, "#/properties/city: a \\$ref points nowhere"),
        ({"$ref": "#/$defs/Nope"}, "points nowhere"),
        ({"$ref": "https://127.0.0.1/schema.json"}, "into the schema itself"),
        ({"type": "banana", "properties": {}}, "a type is one of"),
        ({"type": "string"}, "an object"),
        ({"anyOf": [CITY, {"type": "string"}]}, "an object"),
        ({**CITY, "minProperties": 1}, "minProperties"),
        ({**CITY, "description": "x" * MAX_BYTES}, "longer than"),
    ],
)
def test_what_a_strict_tool_cannot_be_held_to_is_refused_and_else_anything_may_stand_there(
    parameters: object, words: str
) -> None:
    text = json.dumps(parameters)
    with pytest.raises(SchemaError, match=words):
        strict_arguments(text)
    for is_strict in (True, False):
        assert arguments_of(text, is_strict=is_strict).schema["type"] == "object"


@pytest.mark.parametrize("parameters", ["", "{}", '{"type": "object", "properties": {}}'])
def test_a_strict_function_may_take_nothing(parameters: str) -> None:
    assert strict_arguments(parameters).schema == NO_ARGUMENTS == arguments_of(parameters).schema


def test_where_a_strict_tool_ends_a_recursion_nothing_follows() -> None:
    text = json.dumps(TREE)
    strict, forgiving = (json.dumps(arguments_of(text, is_strict=is_strict).schema) for is_strict in (True, False))
    assert (forgiving.count("{}"), strict.count("{}")) == (1, 0)


def test_the_work_is_that_of_all_attempts() -> None:
    assert 0 < arguments_of(json.dumps(CITY)).work < 10
    wide = {name: {"anyOf": [{"type": "null"}, {"$ref": "#"}]} for name in "abcdefgh"}
    assert 2_000 < arguments_of(json.dumps({"type": "object", "properties": wide})).work < MAX_WORK


def test_what_is_no_json_leaves_any_object() -> None:
    assert arguments_of("{").schema == ANY_OBJECT
    with pytest.raises(SchemaError):
        strict_arguments("{")
