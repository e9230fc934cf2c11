"""BFCL's rules for one tool call: is it a call of the wanted function with allowed values?

Source: the Berkeley Function-Calling Leaderboard's AST checker. `experts.evaluation.suites.tool_calls` pairs calls and
uses this for each pair. In order: name, required, unexpected, type and value of each argument, omitted ones. Where the
reference is wrong we differ, and a test has each case:

* whole numbers count for `number` inside lists too, not only at the top;
* `true` is never 1, at any depth;
* strings of nothing but ignored characters ("*", "/") are compared as they are, not all equal to "";
* an allowed "" means that the argument may be left out or be "", not that "-" or "." will do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Json = Any  # what json.loads returns

_IGNORED = re.compile(r"[ ,./\-_*^]")
_KINDS: dict[str, type | tuple[type, ...]] = {
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "string": str,
    "object": dict,
    "array": list,
    "null": type(None),
}
_OTHER_NAMES = {"dict": "object", "float": "number", "tuple": "array", "str": "string", "int": "integer"}
_OTHER_NAMES |= {"list": "array", "bool": "boolean", "double": "number"}


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call that was made."""

    name: str
    arguments: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A call that the row asks for: for each argument the values that are allowed, "" among them = may be omitted."""

    name: str
    allowed: Mapping[str, Sequence[Json]]


def wire_name(name: str) -> str:
    """Return a function's name as OpenAI allows it: BFCL's dots become underscores."""
    return name.replace(".", "_")


def fits(wanted: Wanted, made: Call, parameters: Mapping[str, Json]) -> bool:
    """Say whether `made` is a right call; `parameters` is the tool's JSON Schema (or BFCL's dialect of it)."""
    if wire_name(wanted.name) != wire_name(made.name):
        return False
    properties: Mapping[str, Json] = parameters.get("properties") or {}
    if not all(name in made.arguments for name in parameters.get("required") or ()):
        return False
    if not all(name in properties and name in wanted.allowed for name in made.arguments):
        return False
    values_fit = all(
        _has_type(value, properties[name], wanted.allowed[name]) and agrees_with_any(value, wanted.allowed[name])
        for name, value in made.arguments.items()
    )
    return values_fit and all(name in made.arguments or "" in allowed for name, allowed in wanted.allowed.items())


def exactly(arguments: Mapping[str, Json]) -> dict[str, Sequence[Json]]:
    """Return allowed values that only these arguments satisfy: what a reference call without alternatives means."""
    return {name: [_wrapped(value)] for name, value in arguments.items()}


def agrees_with_any(value: Json, allowed: Sequence[Json]) -> bool:
    """Say whether a value is one of the allowed ones."""
    return any(agrees(value, one) for one in allowed)


def agrees(value: Json, allowed: Json) -> bool:
    """Compare a value with one allowed value; an allowed object holds a list of allowed values for each key."""
    if isinstance(value, bool) or isinstance(allowed, bool):
        return value is allowed
    if isinstance(value, str) and isinstance(allowed, str):
        return _same_text(value, allowed)
    if isinstance(value, list) and isinstance(allowed, list):
        return len(value) == len(allowed) and all(map(agrees, value, allowed))
    if isinstance(value, dict) and isinstance(allowed, dict):
        return _same_object(value, allowed)
    return bool(value == allowed)


def _same_text(value: str, allowed: str) -> bool:
    left, right = _standard(value), _standard(allowed)
    return left == right if left or right else value.strip() == allowed.strip()


def _standard(text: str) -> str:
    return _IGNORED.sub("", text).lower().replace("'", '"')


def _same_object(made: Mapping[str, Json], wanted: Mapping[str, Json]) -> bool:
    choices = {key: value if isinstance(value, list) else [value] for key, value in wanted.items()}
    return all(key in choices and agrees_with_any(value, choices[key]) for key, value in made.items()) and all(
        key in made or "" in allowed for key, allowed in choices.items()
    )


def _wrapped(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: [_wrapped(item)] for key, item in value.items()}
    return [_wrapped(item) for item in value] if isinstance(value, list) else value


def _has_type(value: Json, schema: Mapping[str, Json], allowed: Sequence[Json]) -> bool:
    """Say whether a value has the declared type, or that of the allowed values where these contradict the schema."""
    if _is_a(value, schema):
        return True
    return any(type(value) is type(one) and not _is_a(one, schema) for one in allowed if one != "")


def _is_a(value: Json, schema: Mapping[str, Json]) -> bool:
    declared = schema.get("type", "any")
    kinds = declared if isinstance(declared, list) else [declared]
    return any(_is_kind(value, _OTHER_NAMES.get(str(kind).lower(), str(kind).lower()), schema) for kind in kinds)


def _is_kind(value: Json, kind: str, schema: Mapping[str, Json]) -> bool:
    """Say whether a value is of a kind; one that is none of JSON Schema's ("any") holds everything."""
    if kind not in _KINDS:
        return True
    if isinstance(value, bool):
        return kind == "boolean"
    if isinstance(value, list) and kind == "array":
        return all(_is_a(item, schema.get("items") or {}) for item in value)
    return isinstance(value, _KINDS[kind])
