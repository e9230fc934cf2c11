"""Does a value follow a schema? For schemas that `experts.json_schema` has reduced.

`experts.tool_calls` checks every call's arguments with it. A reduced schema is finite, small and without patterns, so
the check is bounded by the size of the value; the general validators follow remote references and run clients' regular
expressions, neither of which belongs into a replica's event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from experts.json_schema import Schema


def conforms(value: object, schema: Schema) -> bool:
    """Say whether `value`, as `json.loads` gives it, follows a reduced schema."""
    if "enum" in schema:
        return any(type(value) is type(allowed) and value == allowed for allowed in schema["enum"])
    if "anyOf" in schema:
        return any(conforms(value, part) for part in schema["anyOf"])
    check = _CHECKS.get(schema.get("type", ""))
    return check is None or check(value, schema)


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
    return all(conforms(item, schema["items"]) for item in value)


def _string(value: object, schema: Schema) -> bool:
    return isinstance(value, str) and _within(len(value), schema.get("minLength"), schema.get("maxLength"))


def _number(value: object, schema: Schema) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return _within(value, schema.get("minimum"), schema.get("maximum"))


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
