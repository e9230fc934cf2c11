"""A grammar lets through every value that follows its schema, spelt as `json.dumps` spells it, and no other form."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from experts.json_schema.conformance import conforms, is_same
from experts.json_schema.grammar import MAX_CHARS, grammar_of
from experts.json_schema.reduction import SchemaError, reduce_schema
from tests.experts.ebnf import accepts
from tests.experts.schemas import SCHEMAS, VALUES, following, validator

SLOW = settings(suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow], deadline=None)


def grammar(schema: object) -> str:
    return grammar_of(reduce_schema(schema, "strict"))


@SLOW
@given(st.data())
def test_every_value_that_follows_the_schema_can_be_written(data: st.DataObject) -> None:
    schema = data.draw(SCHEMAS)
    value = data.draw(following(schema))
    try:
        reduced = reduce_schema(schema, "strict")
    except SchemaError:
        assume(False)
    assume(validator(schema).is_valid(value))
    written = spelling(value, reduced)
    assert accepts(grammar_of(opened(reduced)), written), (written, reduced)


def opened(reduced: Any) -> Any:
    """The same schema, with a word on unnamed properties wherever there is none: only then a grammar lets them come."""
    if isinstance(reduced, list):
        return [opened(part) for part in reduced]
    if not isinstance(reduced, dict) or "enum" in reduced:
        return reduced
    parts = {name: opened(part) for name, part in reduced.items() if name != "properties"}
    if "properties" not in reduced:
        return parts
    named = {name: opened(part) for name, part in reduced["properties"].items()}
    return {"additionalProperties": {}, **parts, "properties": named}


def spelling(value: Any, reduced: Any) -> str:
    """Spell a value as an answer does, its properties in the order of the alternative that it follows."""
    return json.dumps(_arranged(value, reduced), ensure_ascii=False)


def _arranged(value: Any, schema: Any) -> Any:
    for keyword in ("anyOf", "oneOf"):
        if keyword in schema:
            return _arranged(value, next(part for part in schema[keyword] if conforms(value, part)))
    if "enum" in schema:
        return next(allowed for allowed in schema["enum"] if is_same(value, allowed))
    if isinstance(value, dict):
        named, extra = schema.get("properties", {}), schema.get("additionalProperties", {})
        names = [*(name for name in named if name in value), *(name for name in value if name not in named)]
        return {name: _arranged(value[name], named.get(name, extra)) for name in names}
    if isinstance(value, list):
        first, rest = schema.get("prefixItems", []), schema.get("items", {})
        return [_arranged(item, first[at] if at < len(first) else rest) for at, item in enumerate(value)]
    is_whole = isinstance(value, float) and value.is_integer() and schema.get("type") == "integer"
    return int(value) if is_whole else value


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": "number"}, ["0.75", "-5", "1.5e-07", "-0.05", "1e+22"], ["01", "+1", ".5", "1.", "0:5", "- 5", ""]),
        ({"type": "number", "minimum": 0}, ["0.75", "0", "1e-09", "12e3"[1:]], ["-1", "-0.5"]),
        ({"type": "number", "minimum": 0, "maximum": 0.5}, ["0.5", "0.25", "5e-05"], ["1.5", "1", "3"]),
        ({"type": "number", "maximum": -2.5}, ["-2.5", "-3", "-1e+30", "-100.25"], ["-1.05", "0", "2.5"]),
        ({"type": "integer", "minimum": -50}, ["-12", "-50", "0", "99999"], ["-51", "-", "1.5", "- 1"]),
        ({"type": "number", "exclusiveMinimum": 0}, ["0.75", "1e-09", "0.01"], ["0", "0.0", "-1"]),
        ({"type": "number", "multipleOf": 0.01, "minimum": 0}, ["19.99", "19.9", "20", "20.00"], ["19.999", "-1"]),
        ({"type": "string", "pattern": "^[A-Z]{2}-\\d+$"}, ['"AB-12"'], ['"A-12"', '"AB-"', '"AB-12x"']),
        ({"type": "string", "pattern": "é"}, ['"caf\u00e9s"', '"é\\n"'], ['"cafes"']),
        ({"type": "string", "pattern": "^(?!x).$"}, ['"a"', '"\\""', '"\\\\"'], ['"ab"', '""']),
        ({"type": "integer", "minimum": -9}, ["-5", "-9", "3"], ["-10", "-  "]),
        ({"type": "integer", "minimum": 0, "maximum": 20, "multipleOf": 5}, ["0", "15"], ["3", "25"]),
        ({"type": "string"}, ['"x"', '"\\ud83d\\ude00"', '"😀\\n"', '""'], ['"\\ud83d"', '"\n"', "x", '"\\x"']),
        ({"type": "string", "maxLength": 2}, ['"ab"', '"日本"', '"\\n\\""'], ['"abc"', '"\\n\\na"']),
        ({"type": "string", "minLength": 2}, ['"ab"'], ['"a"', '""']),
        ({"type": "array", "items": False}, ["[]"], ["[1]"]),
        (
            {"type": "array", "items": {"type": "null"}, "maxItems": 2},
            ["[]", "[null]", "[null, null]"],
            ["[null,null,null]"],
        ),
        (
            {"items": [{"const": 1}, {"const": 2}], "type": "array", "minItems": 1},
            ["[1]", "[1, 2]", "[1,2,3]"],
            ["[]", "[2]"],
        ),
        (
            {"type": "object"},
            ["{}", '{"a": {"b": [1, "x", null]}}'],
            ["[]", '{"a" :1}', '{"a":  1}', '{ "a":1}', "{}}"],
        ),
        ({"type": "object", "additionalProperties": False}, ["{}"], ['{"a": 1}']),
        (
            {"type": "object", "properties": {"a": {}, "ab": {}}, "additionalProperties": {"type": "string"}},
            ['{"a": 1}', '{"a": 1, "ab": 2, "abc": "x"}', '{"b": "x", "": "y"}', '{"A": "x"}'],
            ['{"a": 1, "a": "x"}', '{"ab": 1, "a": "x"}', '{"ab": "x", "ab": "x"}', '{"b": 1}'],
        ),
        (
            {
                "type": "object",
                "properties": {"a": {}, "b": {}, "c": {}},
                "required": ["b"],
                "additionalProperties": False,
            },
            ['{"b": 1}', '{"a": 1, "b": 2}', '{"b": 1, "c": 2}', '{"a":1,"b":2,"c":3}'],
            ["{}", '{"a": 1}', '{"c": 1}', '{"b": 1, "a": 2}', '{"b": 1,}', '{,"b": 1}'],
        ),
        (
            {"enum": ["a\u00a0b", 1, None, [1, {"x": "y"}]]},
            ['"a\u00a0b"', "1", "null", '[1, {"x": "y"}]'],
            ['"a b"', "2"],
        ),
    ],
)
def test_the_form(schema: object, good: list[str], bad: list[str]) -> None:
    written = grammar(schema)
    assert [text for text in good if not accepts(written, text)] == []
    assert [text for text in bad if accepts(written, text)] == []


def test_unnamed_properties_come_where_the_schema_has_a_word_on_them() -> None:
    named = {"type": "object", "properties": {"a": {"type": "null"}}}
    open_ones = [{"type": "object"}, {**named, "additionalProperties": True}, {**named, "additionalProperties": {}}]
    open_ones.append({"allOf": [named, {"additionalProperties": {"const": 1}}]})
    assert all(accepts(grammar(schema), '{"b": 1}') for schema in open_ones)
    assert not accepts(grammar(named), '{"b": 1}')
    assert accepts(grammar({"allOf": [named, {"properties": {"b": {}}}]}), '{"a": null, "b": 1}')


def test_blanks_are_bounded() -> None:
    written = grammar(
        {"type": "object", "properties": {"a": {"type": "array", "items": {}}}, "additionalProperties": {}}
    )
    assert accepts(written, '{"a": [1, 2], "b": {"c": 1}}')
    assert not any(accepts(written, text) for text in ('{"a":  []}', '{"a":\n[]}', '{"a": [ ]}', ' {"a": []}', "{ }"))


@SLOW
@given(VALUES)
def test_anything_is_any_value(value: object) -> None:
    assert accepts(grammar_of({}), json.dumps(value, ensure_ascii=False))


def test_a_grammar_that_would_be_too_long_keeps_to_the_types() -> None:
    bounded = {f"p{n}": {"type": "number", "exclusiveMinimum": n / 7} for n in range(100)}
    written = grammar({"type": "object", "properties": bounded})
    assert accepts(written, '{"p1": 0}')
    assert not accepts(written, '{"p1": "0"}')
    names = {f"{n} {'x' * 150}": {"type": "string"} for n in range(300)}
    written = grammar({"type": "object", "properties": names})
    assert accepts(written, '{"a": 1}')
    assert not accepts(written, "[]")
    assert len(written) < MAX_CHARS
