"""Merges two reduced schemas into one that holds what both ask: keywords beside each other all apply in JSON Schema.

`experts.json_schema.reduction` merges what stands beside `$ref`, `anyOf`, `oneOf`, `allOf`, `enum` and `type`. A value
follows the result exactly when it follows both (https://json-schema.org/draft/2020-12/json-schema-core#section-10.2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from math import gcd
from typing import Any, Final

from experts.json_schema.conformance import Schema, conforms
from experts.json_schema.integer_ranges import whole_bounds

ANYTHING: Final[Schema] = {}
NOTHING: Final[Schema] = {"not": {}}
"""What no value follows: JSON Schema's `false`."""

MAX_STEPS = 2_000


class MergeTooLarge(ValueError):
    """The schemas have too many combinations."""


class TwoFormats(ValueError):
    """A string is to have two formats at once, which no grammar here can say."""


class Merger:
    """Merges schemas, as many as its steps allow."""

    def __init__(self) -> None:
        self._steps = MAX_STEPS

    @property
    def steps(self) -> int:
        """Pairs that were merged."""
        return MAX_STEPS - self._steps

    def both(self, one: Schema, other: Schema) -> Schema:
        """Return what follows both.

        Raises:
            MergeTooLarge: there are too many combinations.
            TwoFormats: a string has one format in one and another in the other.
        """
        self._steps -= 1
        if self._steps < 0:
            raise MergeTooLarge
        if one == ANYTHING or other == NOTHING:
            return other
        if other == ANYTHING or one == NOTHING:
            return one
        for keyword in ("anyOf", "oneOf"):
            if keyword in one:
                return choice(keyword, [self.both(part, other) for part in one[keyword]])
            if keyword in other:
                return choice(keyword, [self.both(one, part) for part in other[keyword]])
        if "enum" in one or "enum" in other:
            return _listed(one, other) if "enum" in one else _listed(other, one)
        return self._typed(one, other)

    def _typed(self, one: Schema, other: Schema) -> Schema:
        types = {one["type"], other["type"]}
        if types == {"integer", "number"}:
            types = {"integer"}
        if len(types) > 1:
            return NOTHING
        merged: Schema = {"type": types.pop()}
        for keyword, combine in _COMBINED.items():
            found = [schema[keyword] for schema in (one, other) if keyword in schema]
            if found:
                merged[keyword] = found[0] if len(found) == 1 else combine(*found)
        if merged["type"] == "array":
            merged |= self._items(one, other)
        if merged["type"] == "object":
            merged |= self._properties(one, other)
        return checked(merged)

    def _items(self, one: Schema, other: Schema) -> Schema:
        first, second = one.get("prefixItems", []), other.get("prefixItems", [])
        count = max(len(first), len(second))
        padded = [
            [*items, *[schema["items"]] * (count - len(items))] for items, schema in ((first, one), (second, other))
        ]
        merged: Schema = {"items": self.both(one["items"], other["items"])}
        return merged | ({"prefixItems": list(map(self.both, *padded))} if count else {})

    def _properties(self, one: Schema, other: Schema) -> Schema:
        rest = self.both(extra_of(one), extra_of(other))
        named: dict[str, Schema] = {}
        for name in dict.fromkeys((*one.get("properties", ()), *other.get("properties", ()))):
            left, right = (schema.get("properties", {}).get(name, extra_of(schema)) for schema in (one, other))
            named[name] = self.both(left, right)
        required = list(dict.fromkeys((*one.get("required", ()), *other.get("required", ()))))
        says_rest = any("additionalProperties" in schema for schema in (one, other))
        return object_parts(named, required, rest, says_rest=says_rest)


def _listed(values: Schema, other: Schema) -> Schema:
    kept = [value for value in values["enum"] if conforms(value, other)]
    return {"enum": kept} if kept else NOTHING


def choice(keyword: str, parts: Iterable[Schema]) -> Schema:
    """Join alternatives, without those that nothing follows."""
    possible = [part for part in parts if part != NOTHING]
    if not possible:
        return NOTHING
    return possible[0] if len(possible) == 1 else {keyword: possible}


def extra_of(schema: Schema) -> Schema:
    """Return what an object's unnamed properties follow."""
    extra = schema.get("additionalProperties", ANYTHING)
    return NOTHING if extra is False else extra


def object_parts(named: Mapping[str, Schema], required: list[str], rest: Schema, *, says_rest: bool) -> Schema:
    """Write an object's keywords, as short as they can be.

    Whether the schema has a word on unnamed properties (`says_rest`) is kept: a grammar lets them come only then.
    """
    if rest == NOTHING:  # a name that may have no value is then one more unnamed property
        named = {name: part for name, part in named.items() if part != NOTHING or name in required}
    parts: Schema = {"properties": dict(named), "required": required} if named else {}
    if rest != ANYTHING or (named and says_rest):
        parts["additionalProperties"] = False if rest == NOTHING else rest
    return parts


def checked(schema: Schema) -> Schema:
    """Say so where nothing follows a typed schema."""
    properties = schema.get("properties", {})
    if any(properties.get(name) == NOTHING for name in schema.get("required", ())):
        return NOTHING
    if schema["type"] == "integer" and _has_no_whole_number(schema):
        return NOTHING
    if schema["type"] == "array":
        schema = _shortened(schema)
    pairs = (("minLength", "maxLength"), ("minItems", "maxItems"), ("minimum", "maximum"))
    is_empty = any(low in schema and high in schema and schema[low] > schema[high] for low, high in pairs)
    return NOTHING if is_empty else schema


def _has_no_whole_number(schema: Schema) -> bool:
    low, high = whole_bounds(schema)
    step = schema.get("multipleOf", 1)
    if low is None or high is None:
        return False
    return low > high or (isinstance(step, int) and -(-low // step) * step > high)


def _shortened(schema: Schema) -> Schema:
    """Bound an array before its first item that no value can stand for."""
    items = schema.get("prefixItems", [])
    end = next((at for at, item in enumerate(items) if item == NOTHING), None)
    if end is not None:
        schema = {**schema, "items": NOTHING, "prefixItems": items[:end]}
        if not end:
            del schema["prefixItems"]
    if schema["items"] == NOTHING:
        longest = len(schema.get("prefixItems", ()))
        schema = {**schema, "maxItems": min(schema.get("maxItems", longest), longest)}
    return schema


def _common_multiple(one: float, other: float) -> float:
    first, second = Fraction(str(one)), Fraction(str(other))
    top = first.numerator * second.numerator // gcd(first.numerator, second.numerator)
    least = Fraction(top, gcd(first.denominator, second.denominator))
    return least.numerator if least.denominator == 1 else float(least)


def _both_patterns(one: str, other: str) -> str:
    """Look ahead for both: each may match anywhere in the string."""
    if one == other:
        return one
    return f"^(?=[\\s\\S]*(?:{one}))(?=[\\s\\S]*(?:{other}))"


def _one_format(one: str, other: str) -> str:
    if one != other:
        raise TwoFormats
    return one


_COMBINED: Final[dict[str, Callable[..., Any]]] = {
    "minimum": max,
    "exclusiveMinimum": max,
    "maximum": min,
    "exclusiveMaximum": min,
    "multipleOf": _common_multiple,
    "minLength": max,
    "maxLength": min,
    "minItems": max,
    "maxItems": min,
    "format": _one_format,
    "pattern": _both_patterns,
    "uniqueItems": lambda one, _: one,
}
