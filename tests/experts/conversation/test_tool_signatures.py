from typing import Any

import pytest

from experts.conversation.tool_signatures import signature


def one(schema: dict[str, Any]) -> str:
    """Return how one required parameter `x` of that schema is written."""
    lines = signature("f", "", {"type": "object", "properties": {"x": schema}, "required": ["x"]}).split("\n")
    return lines[1].removeprefix("x: ")


def test_a_tool_is_its_description_name_and_parameters() -> None:
    schema = {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "Where.\nExactly."},
            "days": {"type": "integer", "default": 3},
        },
        "required": ["city"],
    }
    assert signature("weather", "Looks  outside.\n", schema) == (
        "// Looks outside.\nweather(\ncity: string // Where. Exactly.\ndays?: integer // (default 3)\n)"
    )


@pytest.mark.parametrize(
    ("schema", "written"),
    [
        ({"type": "number"}, "number"),
        ({"enum": ["a", 1, None]}, '"a" | 1 | null'),
        ({"const": "yes"}, '"yes"'),
        ({"type": ["string", "null"]}, "string | null"),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, "string | integer"),
        ({"type": "array", "items": {"type": "string"}}, "string[]"),
        ({"type": "array", "items": {"enum": ["a", "b"]}}, '("a" | "b")[]'),
        ({"type": "array"}, "any[]"),
        ({"type": "object", "properties": {"y": {"type": "boolean"}}}, "{y?: boolean}"),
        ({"type": "object"}, "object"),
        ({"$ref": "#/x"}, "any"),
        ({"type": "wrong\ntype"}, "any"),
        ({}, "any"),
    ],
)
def test_types(schema: dict[str, Any], written: str) -> None:
    assert one(schema) == written


@pytest.mark.parametrize("parameters", [None, [], "x", {}, {"properties": []}])
def test_a_tool_without_usable_parameters_takes_none(parameters: object) -> None:
    assert signature("now", "", parameters) == "now()"


def test_a_deep_schema_ends() -> None:
    schema: dict[str, Any] = {"type": "integer"}
    for _ in range(500):
        schema = {"type": "array", "items": schema}
    assert one(schema) == "any[][][][][][]"


@pytest.mark.parametrize(
    ("parameters", "written"),
    [
        ({}, "f()"),
        ({"type": "object", "properties": {}}, "f()"),
        ({"type": "object", "properties": {}, "required": [], "additionalProperties": False}, "f()"),
        ({"type": "object"}, "f(...)"),
        ({"type": "object", "description": "anything"}, "f(...)"),
        ({"type": "object", "properties": {}, "additionalProperties": True}, "f(...)"),
        ({"type": "object", "additionalProperties": {"type": "string"}}, "f(...)"),
        ({"type": "object", "additionalProperties": False}, "f()"),
    ],
)
def test_a_tool_that_takes_any_object_says_so(parameters: dict[str, Any], written: str) -> None:
    assert signature("f", "", parameters) == written
