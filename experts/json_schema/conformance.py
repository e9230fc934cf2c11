"""Does a value follow a schema? For schemas that `experts.json_schema.reduction` has reduced.

`experts.conversation.structured` checks whole answers with it, `experts.conversation.tool_call` every call's arguments.
A reduced schema is finite and small, and its patterns are matched without trying anything twice, so the size of the
value bounds the check. General validators follow remote references and run clients' regular expressions in an engine
that goes back; neither belongs in a replica's event loop. Tests compare it with what the `jsonschema` package says of
the schema as the client wrote it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any, Final

from experts.json_schema.pattern_match import is_match
from experts.json_schema.string_formats import FORMATS

Schema = dict[str, Any]


def conforms(value: object, schema: Schema) -> bool:
    """Say whether `value`, as `json.loads` gives it, follows a reduced schema."""
    if "not" in schema:
        return False  # `{"not": {}}` is the only one that a reduction leaves
    if "enum" in schema:
        return any(is_same(value, allowed) for allowed in schema["enum"])
    if "anyOf" in schema:
        return any(conforms(value, part) for part in schema["anyOf"])
    if "oneOf" in schema:
        return sum(conforms(value, part) for part in schema["oneOf"]) == 1
    check = _CHECKS.get(schema.get("type", ""))
    return check is None or check(value, schema)


def is_same(one: object, other: object) -> bool:
    """Compare as JSON does: 1 is 1.0, and neither is true."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(is_same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(is_same(part, other[name]) for name, part in one.items())
    return one == other


def _object(value: object, schema: Schema) -> bool:
    if not isinstance(value, dict):
        return False
    properties, extra = schema.get("properties", {}), schema.get("additionalProperties", {})
    if any(name not in value for name in schema.get("required", ())):
        return False
    if extra is False and any(name not in properties for name in value):
        return False
    return all(conforms(part, properties.get(name, extra)) for name, part in value.items())


def _array(value: object, schema: Schema) -> bool:
    if not isinstance(value, list) or not _within(len(value), schema.get("minItems"), schema.get("maxItems")):
        return False
    if "uniqueItems" in schema and any(is_same(item, other) for at, item in enumerate(value) for other in value[:at]):
        return False
    first = schema.get("prefixItems", ())
    return all(map(conforms, value, first)) and all(conforms(item, schema["items"]) for item in value[len(first) :])


def _string(value: object, schema: Schema) -> bool:
    if not isinstance(value, str) or not _within(len(value), schema.get("minLength"), schema.get("maxLength")):
        return False
    if "pattern" in schema and not is_match(value, schema["pattern"]):
        return False
    return "format" not in schema or FORMATS[schema["format"]].accepts(value)


def _number(value: object, schema: Schema) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float) or value in (math.inf, -math.inf):
        return False
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    return (
        _within(value, schema.get("minimum"), schema.get("maximum"))
        and (above is None or value > above)
        and (below is None or value < below)
        and ("multipleOf" not in schema or is_multiple(value, schema["multipleOf"]))
    )


def is_multiple(value: float, step: float) -> bool:
    """Divide the decimals that are written: 19.99 is a multiple of 0.01, although no quotient of doubles is whole."""
    return (_decimal(value) / _decimal(step)).denominator == 1


def _decimal(number: float) -> Fraction:
    return Fraction(int(number)) if number == int(number) else Fraction(repr(number))


def _integer(value: object, schema: Schema) -> bool:
    return _number(value, schema) and (isinstance(value, int) or (isinstance(value, float) and value.is_integer()))


def _within(value: float, low: float | None, high: float | None) -> bool:
    return (low is None or value >= low) and (high is None or value <= high)


_CHECKS: Final[Mapping[str, Callable[[object, Schema], bool]]] = {
    "object": _object,
    "array": _array,
    "string": _string,
    "integer": _integer,
    "number": _number,
    "boolean": lambda value, _: isinstance(value, bool),
    "null": lambda value, _: value is None,
}
