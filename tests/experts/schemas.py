"""Random JSON Schemas beside values that may follow them, for property tests.

Hypothesis draws both: the value by the schema's shape alone. Whether it follows the schema, the `jsonschema`
package says.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from jsonschema import Draft202012Validator

NAMES = st.sampled_from(
    ["a", "b", "name", "na", "price", "é", "日本", "a b", "x\u200dy", "\u3000", 'n"m', "back\\slash", "", "\n"]
)
# Without "@": the `jsonschema` package takes every text that holds one for a mailbox.
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="@"), max_size=6) | st.sampled_from(
    ["2024-02-29", "a@b.example"]
)
WHOLE = st.integers(-1_200, 1_200) | st.integers(-(10**20), 10**20)
FRACTIONS = st.floats(-1_000, 1_000) | st.floats(allow_nan=False, allow_infinity=False, width=32)
SCALARS = st.none() | st.booleans() | WHOLE | FRACTIONS | TEXTS
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=6
)
_BOUNDS = st.integers(-60, 60) | st.floats(-5, 5).map(lambda number: round(number, 2))


def _numbers(kind: str) -> st.SearchStrategy[Any]:
    keywords = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"]
    bounds = st.dictionaries(st.sampled_from(keywords), _BOUNDS, max_size=2)
    step = st.sampled_from([{}, {}, {"multipleOf": 5}, {"multipleOf": 0.5}])
    return st.builds(lambda some, more: {"type": kind, **some, **more}, bounds, step)


def _texts() -> st.SearchStrategy[Any]:
    lengths = st.dictionaries(st.sampled_from(["minLength", "maxLength"]), st.integers(0, 6), max_size=2)
    named = st.sampled_from([{}, {}, {"format": "date"}, {"format": "email"}])
    return st.builds(lambda some, more: {"type": "string", **some, **more}, lengths, named)


def _lists(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    lengths = st.dictionaries(st.sampled_from(["minItems", "maxItems"]), st.integers(0, 3), max_size=2)
    first = st.just({}) | st.lists(inner, min_size=1, max_size=2).map(lambda items: {"prefixItems": items})
    items = st.just({}) | (inner | st.booleans()).map(lambda item: {"items": item})
    return st.builds(lambda *parts: {"type": "array"} | parts[0] | parts[1] | parts[2], lengths, first, items)


def _objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    extra = st.just({}) | (inner | st.booleans()).map(lambda part: {"additionalProperties": part})
    properties = st.dictionaries(NAMES, inner, max_size=3)

    def build(named: dict[str, Any], required: list[str], more: dict[str, Any]) -> dict[str, Any]:
        return {"type": "object", "properties": named, "required": required} | more

    return properties.flatmap(
        lambda named: st.builds(
            build, st.just(named), st.lists(st.sampled_from([*named, "a"]), unique=True, max_size=3), extra
        )
    )


def _beside(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Some schema with another one in force beside it."""
    choices = st.lists(inner, min_size=1, max_size=3)
    keyword = st.sampled_from(["anyOf", "allOf", "oneOf"])
    return st.builds(lambda one, name, parts: {**one, name: parts}, inner | st.just({}), keyword, choices)


def _extend(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return _lists(inner) | _objects(inner) | _beside(inner)


_LEAVES = (
    _numbers("integer")
    | _numbers("number")
    | _texts()
    | st.sampled_from([{"type": "boolean"}, {"type": "null"}, {"type": ["string", "null"]}, {"minLength": 2}, {}, True])
    | st.lists(SCALARS, min_size=1, max_size=3).map(lambda values: {"enum": values})
    | VALUES.map(lambda value: {"const": value})
).filter(lambda schema: isinstance(schema, dict))


def _with_reference(schema: dict[str, Any]) -> dict[str, Any]:
    """The same, its first property behind a reference."""
    properties = schema.get("properties")
    if not properties:
        return schema
    name = next(iter(properties))
    moved = {**properties, name: {"$ref": "#/$defs/Box%3Cstring%3E"}}
    return {**schema, "properties": moved, "$defs": {"Box<string>": properties[name]}}


SCHEMAS = st.recursive(_LEAVES, _extend, max_leaves=6).flatmap(
    lambda schema: st.sampled_from([schema, _with_reference(schema)])
)


def following(schema: Any) -> st.SearchStrategy[Any]:
    """A value that may follow the schema: drawn by its shape, nothing checked."""
    if not isinstance(schema, dict) or "$ref" in schema:
        return VALUES
    if "const" in schema or "enum" in schema:
        return st.sampled_from(schema.get("enum", [schema.get("const")]))
    parts = [part for keyword in ("anyOf", "oneOf", "allOf") for part in schema.get(keyword, ())]
    types = schema.get("type", "any")
    of_type = [_OF_TYPE.get(name, lambda _: VALUES)(schema) for name in ([types] if isinstance(types, str) else types)]
    return st.one_of(*of_type, *map(following, parts))


@st.composite
def _object_for(draw: st.DrawFn, schema: Any) -> Any:
    names = [name for name in schema.get("properties", {}) if draw(st.booleans())] + schema.get("required", [])
    extra = draw(st.dictionaries(NAMES, VALUES, max_size=1))
    return extra | {name: draw(following(schema.get("properties", {}).get(name, True))) for name in names}


@st.composite
def _array_for(draw: st.DrawFn, schema: Any) -> Any:
    first = [draw(following(part)) for part in schema.get("prefixItems", [])]
    return first + draw(st.lists(following(schema.get("items", True)), max_size=3))


_OF_TYPE = {
    "object": _object_for,
    "array": _array_for,
    "string": lambda _: TEXTS,
    "integer": lambda _: st.integers(-70, 70) | WHOLE,
    "number": lambda _: st.integers(-70, 70) | FRACTIONS | st.integers(-70, 70).map(lambda n: n / 2),
}


def validator(schema: Any) -> Draft202012Validator:
    """What the `jsonschema` package makes of the schema as it is written, formats included."""
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
