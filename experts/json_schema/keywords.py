"""The keywords of a schema that are known, and their values, checked one by one: bounds, lengths, enumerations, names.

`experts.json_schema.reduction` walks a schema and asks here what each keyword says. Messages name the place in the
client's own words and stay short.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Final

MAX_ENUM = 1_000
MAX_NAME = 200  # characters of a property's name
_MAX_VALUE_DEPTH = 16

SILENT: Final = frozenset(
    {"title", "description", "default", "examples", "example", "$schema", "$id", "$comment", "$defs", "definitions"}
    | {"$anchor", "deprecated", "readOnly", "writeOnly", "strict", "contentMediaType", "contentEncoding"}
    | {"discriminator"}  # OpenAPI's hint to readers: which of the choices a value means
)
OBJECT: Final = frozenset({"properties", "required", "additionalProperties"})
OF_TYPE: Final[dict[str, frozenset[str]]] = {
    "object": OBJECT,
    "array": frozenset({"items", "prefixItems", "additionalItems", "minItems", "maxItems", "uniqueItems"}),
    "string": frozenset({"minLength", "maxLength", "format", "pattern"}),
    "number": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}),
    "boolean": frozenset(),
    "null": frozenset(),
}
ABOUT_TYPES: Final = frozenset[str]().union(*OF_TYPE.values())
TYPES: Final = (*OF_TYPE, "integer")
CHOICES: Final = ("allOf", "anyOf", "oneOf")
KNOWN: Final = SILENT.union(ABOUT_TYPES, CHOICES, ("type", "$ref", "enum", "const"))

Schema = dict[str, Any]


class SchemaError(ValueError):
    """A schema cannot be used; the message says where and why, in the client's own names."""


def read_bounds(schema: Mapping[str, Any], at: str) -> Schema:
    """Read a number's bounds and step; `true` beside a bound makes it exclusive, as in JSON Schema's draft 4."""
    found: Schema = {}
    for name, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        bound, other = schema.get(name), schema.get(exclusive)
        if isinstance(other, bool):
            found |= _number(exclusive if other else name, bound, at)
        else:
            found |= _number(name, bound, at) | _number(exclusive, other, at)
    found |= _number("multipleOf", schema.get("multipleOf"), at)
    if found.get("multipleOf", 1) <= 0:
        raise SchemaError(f"{short(at)}: multipleOf is above 0")
    return _in_order(found, "minimum", "maximum", at)


def read_lengths(schema: Mapping[str, Any], low: str, high: str, at: str) -> Schema:
    """Read a pair of lengths."""
    found: Schema = {}
    for name in (low, high):
        for value in _number(name, schema.get(name), at).values():
            if value < 0 or value != int(value):
                raise SchemaError(f"{short(at)}: {name} is a whole number from 0")
            found[name] = int(value)
    return _in_order(found, low, high, at)


def read_values(values: object, at: str) -> tuple[list[Any], int]:
    """Read an enumeration; return its values and how many characters they take."""
    if not isinstance(values, list) or not 0 < len(values) <= MAX_ENUM:
        raise SchemaError(f"{short(at)}: an enum holds 1 to {MAX_ENUM} values")
    try:
        size = sum(len(serialised(value)) - 2 * isinstance(value, str) for value in values)
    except (ValueError, RecursionError):
        raise SchemaError(f"{short(at)}: an enum holds finite values in UTF-8") from None
    if any(_is_deeper(value, _MAX_VALUE_DEPTH) for value in values):
        raise SchemaError(f"{short(at)}: an enum's values have at most {_MAX_VALUE_DEPTH} levels")
    return values, size


def serialised(value: object) -> str:
    """Write a value as a grammar spells it, on one line.

    Raises:
        ValueError: it has no form in JSON, or none in UTF-8.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    text.encode()
    return text


def is_name(name: str) -> bool:
    """Say whether a property may have this name."""
    return len(name) <= MAX_NAME and not any("\ud800" <= character <= "\udfff" for character in name)


def short(text: str) -> str:
    """Keep an error's message short, whatever the client calls its properties."""
    printable = "".join(c if c.isprintable() else "?" for c in text[:80])
    return printable if len(text) <= 80 else f"{printable}..."


def _number(name: str, value: object, at: str) -> Schema:
    if value is None:
        return {}
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or (isinstance(value, float) and not math.isfinite(value)):
        raise SchemaError(f"{short(at)}: {name} is a number")
    return {name: value}


def _in_order(found: Schema, low: str, high: str, at: str) -> Schema:
    if low in found and high in found and found[low] > found[high]:
        raise SchemaError(f"{short(at)}: {low} is above {high}")
    return found


def _is_deeper(value: object, levels: int) -> bool:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels < 0 or any(_is_deeper(part, levels - 1) for part in parts)
