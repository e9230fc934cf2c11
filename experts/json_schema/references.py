"""Schemas of a plan's steps: any value may be a reference to the result of an earlier step, and none to a later one.

A plan is a list of calls, numbered from 1. In the arguments of step k, `$1` to `$k-1` (also `${1}`, `$2.field`,
`$2.rows[0].name`) stand for earlier results. `with_references` turns the reduced schema of a tool's arguments into that
of the arguments at a step: the grammar and the check of whole answers then hold it like any other schema. Whoever
carries a plan out reads references by the same rule (`moegate.client.references`; a test compares them).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

from experts.json_schema.conformance import Schema

MAX_STEPS: Final = 12
_NAME: Final = r"[A-Za-z_][A-Za-z0-9_]*(?:-[A-Za-z0-9_]+)*"  # what ends in a hyphen is a name and a hyphen
_PATH: Final = rf"(?:\.{_NAME}|\[[0-9]{{1,6}}\])*"
_REFERENCE: Final = re.compile(
    rf"\$(?:\{{(?P<braced>[1-9][0-9]{{0,3}}){_PATH}\}}|(?P<plain>[1-9][0-9]{{0,3}})(?![0-9]|\.[0-9]|,[0-9]{{3}}(?![0-9])){_PATH})"
)
_MAX_DEPTH: Final = 64
_ANY_DEPTH: Final = 3  # levels of objects and lists where a schema says nothing


def references(value: object, depth: int = 0) -> Iterator[int]:
    """Yield the number of each step that a JSON value refers to; one of no earlier step is text, such as a price."""
    if isinstance(value, str):
        yield from (int(found["braced"] or found["plain"]) for found in _REFERENCE.finditer(value))
    elif isinstance(value, dict | list) and depth < _MAX_DEPTH:
        for inner in value.values() if isinstance(value, dict) else value:
            yield from references(inner, depth + 1)


def with_references(schema: Schema, step: int) -> Schema:
    """Return the schema of a call's arguments at a step of a plan, from 1 to `MAX_STEPS`.

    Args:
        schema: reduced (`experts.json_schema.reduction`), of an object or a choice of objects.
        step: the call's number.
    """
    if "anyOf" in schema or "oneOf" in schema:
        return {"anyOf": [with_references(part, step) for part in schema.get("anyOf") or schema["oneOf"]]}
    return _inside(schema, step)


def _value(schema: Schema, step: int, depth: int = 0) -> Schema:
    """Return the schema of a value that may be a reference."""
    if schema == {}:
        return _anything(step, depth)
    if "not" in schema:
        return schema
    parts = schema.get("anyOf") or schema.get("oneOf")
    options = [_value(part, step, depth) for part in parts] if parts else [_inside(schema, step, depth)]
    # A part that is a reference may fit several options: "exactly one" of them cannot be asked for.
    return _choice([*options, _reference(step)] if step > 1 else options)


def _choice(options: list[Schema]) -> Schema:
    """Join options, choices among them taken apart, each once."""
    flat = [part for option in options for part in (option["anyOf"] if option.keys() == {"anyOf"} else [option])]
    found = [part for at, part in enumerate(flat) if part not in flat[:at]]
    return found[0] if len(found) == 1 else {"anyOf": found}


def _inside(schema: Schema, step: int, depth: int = 0) -> Schema:
    """Return the schema of a value that is no reference itself, and whose parts may be."""
    match schema.get("type"):
        case "string" if not schema.keys() & {"pattern", "format"}:
            return {**schema, "pattern": text_pattern(step)}
        case "array":
            first = [_value(part, step, depth) for part in schema.get("prefixItems", ())]
            items = {"items": _value(schema.get("items", {}), step, depth + 1)}
            return {**schema, **({"prefixItems": first} if first else {}), **items}
        case "object":
            return _object(schema, step, depth)
        case _:
            return schema


def _object(schema: Schema, step: int, depth: int) -> Schema:
    found: dict[str, Any] = dict(schema)
    if "properties" in schema:
        found["properties"] = {name: _value(part, step, depth) for name, part in schema["properties"].items()}
    extra = schema.get("additionalProperties", None if schema.get("properties") else {})
    if isinstance(extra, dict):
        found["additionalProperties"] = _value(extra, step, depth + 1)
    return found


@lru_cache(maxsize=MAX_STEPS * (_ANY_DEPTH + 2))
def _anything(step: int, depth: int) -> Schema:
    """Return the schema of any value that refers to nothing later, nested a little."""
    options: list[Schema] = [
        {"type": "string", "pattern": text_pattern(step)},
        {"type": "number"},
        {"type": "boolean"},
        {"type": "null"},
    ]
    if depth < _ANY_DEPTH:
        inner = _anything(step, depth + 1)
        options += [{"type": "array", "items": inner}, {"type": "object", "additionalProperties": inner}]
    return {"anyOf": options}


@lru_cache(maxsize=MAX_STEPS)
def _reference(step: int) -> Schema:
    number = "|".join(map(str, range(1, step)))
    path = r"(?:\.[A-Za-z_][A-Za-z0-9_]*|\[[1-9]?[0-9]\])*"  # of what may be read, what a model has reason to write
    return {"type": "string", "pattern": rf"^\$(?:{number}){path}$"}


@lru_cache(maxsize=MAX_STEPS)
def text_pattern(step: int) -> str:
    """Write the pattern of a string in which `$` stands before an earlier step's number, a high one, or no number.

    What stands before a higher number than plans have steps is text, such as "$250".
    """
    earlier = "".join(f"{number}|" for number in range(1, step))
    number = f"(?:{earlier}{_beyond()}|0)"
    return rf"^(?:[^$]|\$[^$0-9{{]|\$\{{?{number}[^$0-9])*(?:\$\{{?{number}?)?$"


def _beyond() -> str:
    """Write the numbers above `MAX_STEPS`, which has two digits."""
    tens, ones = divmod(MAX_STEPS, 10)
    return rf"{tens}[{ones + 1}-9]|[{tens + 1}-9][0-9]|[1-9][0-9][0-9]+"
