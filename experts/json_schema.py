"""JSON Schemas, reduced to a small finite tree of known keywords with checked values.

A schema comes from a client and goes into an engine's grammar compiler, which fails inside the step that serves all
sequences (measured: one unknown type ends OpenVINO GenAI's whole batch), stalls on large ones, and follows cycles. So
none goes there as it came: `reduce_schema` builds a new one out of what it understands. Called by the gateway to refuse
early, by `experts.constraints` before decoding, and for `experts.conformance`, which checks a call's arguments.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Literal

Schema = dict[str, Any]
Mode = Literal["strict", "loose", "forgiving"]
"""strict refuses what cannot be enforced; loose leaves it out; forgiving lets anything stand where a part is wrong."""

MAX_BYTES = 65_536
MAX_DEPTH = 16
MAX_NODES = 500
MAX_PROPERTIES = 64  # of one object: compiling n optional ones takes time that grows with n squared
MAX_ENUM = 500
MAX_ENUM_CHARS = 20_000  # of all enumerations together
MAX_REPEATS = 2_000  # lengths of strings and lists together: 100 take about 30 ms to compile
MAX_NAME = 200  # characters of a property's name
MAX_INTEGER = 2**53

_SILENT = frozenset(
    {"title", "description", "default", "examples", "example", "$schema", "$id", "$comment", "$defs", "definitions"}
    | {"deprecated", "readOnly", "writeOnly", "strict"}
)
_OF_TYPE: dict[str, frozenset[str]] = {
    "object": frozenset({"properties", "required", "additionalProperties"}),
    "array": frozenset({"items", "minItems", "maxItems"}),
    "string": frozenset({"minLength", "maxLength", "format"}),
    "integer": frozenset({"minimum", "maximum"}),
    "number": frozenset({"minimum", "maximum"}),
    "boolean": frozenset(),
    "null": frozenset(),
}
_LENGTHS = frozenset({"minLength", "maxLength", "minItems", "maxItems"})
_FORMATS = frozenset({"date", "time", "date-time", "duration", "email", "uuid", "ipv4", "ipv6"})


class SchemaError(ValueError):
    """A schema cannot be used; the message says where and why, in the client's own names."""


def parse_schema(text: str) -> object:
    """Read a serialised schema.

    Raises:
        SchemaError: it is too long, nested too deeply, or not JSON.
    """
    if len(text.encode("utf-8", "replace")) > MAX_BYTES:
        raise SchemaError(f"the schema is longer than {MAX_BYTES} bytes")
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise SchemaError("the schema is not JSON") from None


def reduce_schema(schema: object, mode: Mode) -> Schema:
    """Reduce a schema: `$ref`s are put in place, what steers nothing is left out.

    The result is `{}` (anything) or has exactly one of `enum`, `anyOf` and `type`, the last with that type's keywords.

    Raises:
        SchemaError: it is wrong, cyclic or too large, or (strict) says what cannot be enforced; never when forgiving.
    """
    return _Reducer(schema, mode).reduce(schema, "#", 0, ())


def without_lengths(schema: Schema) -> Schema:
    """Leave out the lengths of strings and lists in a reduced schema: with many tools they take minutes to compile."""
    parts = {name: part for name, part in schema.items() if name not in _LENGTHS}
    for name in ("items", "additionalProperties"):
        if isinstance(parts.get(name), dict):
            parts[name] = without_lengths(parts[name])
    if "anyOf" in parts:
        parts["anyOf"] = [without_lengths(part) for part in parts["anyOf"]]
    if "properties" in parts:
        parts["properties"] = {name: without_lengths(part) for name, part in parts["properties"].items()}
    return parts


def _no_constant(name: str) -> object:
    raise ValueError(name)


class _Reducer:
    """One reduction: the document that `$ref` points into, and what is left of the budget."""

    def __init__(self, root: object, mode: Mode) -> None:
        self._root = root
        self._mode = mode
        self._nodes = MAX_NODES
        self._enum_chars = MAX_ENUM_CHARS
        self._repeats = MAX_REPEATS

    def reduce(self, schema: object, at: str, depth: int, open_refs: tuple[str, ...]) -> Schema:
        """Reduce one node."""
        try:
            return self._reduce(schema, at, depth, open_refs)
        except SchemaError:
            if self._mode != "forgiving":
                raise
            return {}

    def _reduce(self, schema: object, at: str, depth: int, open_refs: tuple[str, ...]) -> Schema:
        self._nodes -= 1
        if self._nodes < 0 or depth > MAX_DEPTH:
            raise SchemaError(f"the schema has more than {MAX_NODES} parts or {MAX_DEPTH} levels")
        if schema is True:
            return {}
        if not isinstance(schema, dict):
            raise SchemaError(f"{_short(at)} is not a schema")
        if "$ref" in schema:
            self._refuse(schema, {"$ref"}, at)
            return self._follow(schema["$ref"], at, depth, open_refs)
        if "enum" in schema or "const" in schema:
            self._refuse(schema, {"enum", "const", "type"}, at)
            return {"enum": self._values(schema.get("enum", [schema.get("const")]), at)}
        for keyword in ("anyOf", "oneOf", "allOf"):
            if keyword in schema:
                return self._choice(keyword, schema, at, depth, open_refs)
        return self._typed(schema, at, depth, open_refs)

    def _refuse(self, schema: Mapping[str, Any], known: set[str] | frozenset[str], at: str) -> None:
        """Name what is not known, if that matters."""
        unknown = next((keyword for keyword in schema if keyword not in known and keyword not in _SILENT), None)
        if unknown is not None and self._mode == "strict":
            raise SchemaError(f"{_short(at)}: the keyword {_short(unknown)!r} is not supported here in strict mode")

    def _follow(self, ref: object, at: str, depth: int, open_refs: tuple[str, ...]) -> Schema:
        if not isinstance(ref, str) or not (ref == "#" or ref.startswith("#/")):
            raise SchemaError(f"{_short(at)}: a $ref must point into the schema itself")
        if ref in open_refs or ref == "#":
            raise SchemaError(f"{_short(at)}: the schema is cyclic")
        node = self._root
        for step in ref[2:].split("/"):
            name = step.replace("~1", "/").replace("~0", "~")
            if not isinstance(node, dict) or name not in node:
                raise SchemaError(f"{_short(at)}: a $ref points nowhere")
            node = node[name]
        return self.reduce(node, ref, depth + 1, (*open_refs, ref))

    def _values(self, values: object, at: str) -> list[Any]:
        if not isinstance(values, list) or not 0 < len(values) <= MAX_ENUM:
            raise SchemaError(f"{_short(at)}: an enum holds 1 to {MAX_ENUM} values")
        for value in values:
            if not isinstance(value, str | int | float | bool | None) or not _is_plain(value):
                raise SchemaError(f"{_short(at)}: an enum holds text, numbers, true, false and null")
            self._enum_chars -= len(str(value))
        if self._enum_chars < 0:
            raise SchemaError(f"{_short(at)}: the schema's enums are longer than {MAX_ENUM_CHARS} characters")
        return values

    def _choice(
        self, keyword: str, schema: Mapping[str, Any], at: str, depth: int, open_refs: tuple[str, ...]
    ) -> Schema:
        """One of several; a lone part of `allOf` counts as well."""
        self._refuse(schema, {"anyOf", "allOf"}, at)
        parts = schema[keyword]
        if not isinstance(parts, list) or not parts:
            raise SchemaError(f"{_short(at)}: {keyword} holds at least one schema")
        if keyword == "allOf" and len(parts) > 1:
            if self._mode == "strict":
                raise SchemaError(f"{_short(at)}: allOf of several schemas is not supported in strict mode")
            return {}
        reduced = [self.reduce(part, f"{at}/{keyword}/{i}", depth + 1, open_refs) for i, part in enumerate(parts)]
        return reduced[0] if len(reduced) == 1 else {"anyOf": reduced}

    def _typed(self, schema: Mapping[str, Any], at: str, depth: int, open_refs: tuple[str, ...]) -> Schema:
        types = schema.get("type", "object" if "properties" in schema else [])
        types = list(dict.fromkeys(types)) if isinstance(types, list) and all(map(_is_text, types)) else [types]
        if not types:
            self._refuse(schema, {"type"}, at)
            return {}
        if not all(_is_text(name) and name in _OF_TYPE for name in types):
            raise SchemaError(f"{_short(at)}: a type is one of {', '.join(_OF_TYPE)}")
        self._refuse(schema, frozenset({"type"}).union(*(_OF_TYPE[name] for name in types)), at)
        each = [self._of_type(name, schema, at, depth, open_refs) for name in types]
        return each[0] if len(each) == 1 else {"anyOf": each}

    def _of_type(self, name: str, schema: Mapping[str, Any], at: str, depth: int, open_refs: tuple[str, ...]) -> Schema:
        match name:
            case "object":
                return self._object(schema, at, depth, open_refs)
            case "array":
                items = self.reduce(schema.get("items", True), f"{at}/items", depth + 1, open_refs)
                return {"type": name, "items": items} | self._repeated(schema, "minItems", "maxItems", at)
            case "string":
                sized = self._repeated(schema, "minLength", "maxLength", at)
                return {"type": name} | (sized or self._format(schema, at))
            case "integer":
                return {"type": name} | _range(schema, "minimum", "maximum", at, -MAX_INTEGER, MAX_INTEGER)
            case "number":
                return {"type": name} | _bounds(schema, at)
            case _:
                return {"type": name}

    def _object(self, schema: Mapping[str, Any], at: str, depth: int, open_refs: tuple[str, ...]) -> Schema:
        properties, required = schema.get("properties", {}), schema.get("required", [])
        extra = schema.get("additionalProperties", True)
        if not isinstance(properties, dict) or not isinstance(required, list) or not all(map(_is_text, required)):
            raise SchemaError(f"{_short(at)}: properties is an object of schemas, required a list of names")
        named = {**properties, **{name: True for name in required if name not in properties}}
        if len(named) > MAX_PROPERTIES or not all(map(_is_plain_name, named)):
            raise SchemaError(f"{_short(at)}: an object has at most {MAX_PROPERTIES} properties, with plain names")
        reduced: Schema = {"type": "object"}
        if named:
            reduced["properties"] = {
                name: self.reduce(part, f"{at}/properties/{name}", depth + 1, open_refs) for name, part in named.items()
            }
            reduced["required"] = list(dict.fromkeys(required))
        if extra is not True:
            is_closed = extra is False
            reduced["additionalProperties"] = (
                False if is_closed else self.reduce(extra, f"{at}/additionalProperties", depth + 1, open_refs)
            )
        return reduced

    def _repeated(self, schema: Mapping[str, Any], low: str, high: str, at: str) -> Schema:
        found = _range(schema, low, high, at, 0, MAX_INTEGER)
        self._repeats -= max(found.values(), default=0)
        if self._repeats >= 0:
            return found
        if self._mode == "strict":
            raise SchemaError(f"{_short(at)}: the schema's lengths together are above {MAX_REPEATS}")
        return {}

    def _format(self, schema: Mapping[str, Any], at: str) -> Schema:
        name = schema.get("format")
        if name is None or (isinstance(name, str) and name in _FORMATS):
            return {} if name is None else {"format": name}
        if self._mode == "strict":
            raise SchemaError(f"{_short(at)}: a format is one of {', '.join(sorted(_FORMATS))}")
        return {}


def _range(schema: Mapping[str, Any], low: str, high: str, at: str, lowest: int, highest: int) -> Schema:
    """Read a pair of whole numbers."""
    found = {name: schema[name] for name in (low, high) if schema.get(name) is not None}
    for name, value in found.items():
        is_whole = isinstance(value, int | float) and not isinstance(value, bool) and value == value // 1
        if not is_whole or not lowest <= value <= highest:
            raise SchemaError(f"{_short(at)}: {name} is a whole number from {lowest} to {highest}")
    return _ordered({name: int(value) for name, value in found.items()}, low, high, at)


def _bounds(schema: Mapping[str, Any], at: str) -> Schema:
    """Read minimum and maximum of a number."""
    found = {name: schema[name] for name in ("minimum", "maximum") if schema.get(name) is not None}
    for name, value in found.items():
        if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) <= MAX_INTEGER:
            raise SchemaError(f"{_short(at)}: {name} is a number of at most {MAX_INTEGER}")
    return _ordered(found, "minimum", "maximum", at)


def _ordered(found: Schema, low: str, high: str, at: str) -> Schema:
    if low in found and high in found and found[low] > found[high]:
        raise SchemaError(f"{_short(at)}: {low} is above {high}")
    return found


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_plain(value: object) -> bool:
    """Whether a compiler reads it as we do: a finite number within range, or text of printable characters."""
    if isinstance(value, str):
        return value.isprintable()
    return not isinstance(value, int | float) or (math.isfinite(value) and abs(value) <= MAX_INTEGER)


def _is_plain_name(name: str) -> bool:
    """Whether it is short, printable and without quotes and backslashes, which OpenVINO GenAI 2026.4 stumbles over."""
    return 0 < len(name) <= MAX_NAME and name.isprintable() and not set('"\\') & set(name)


def _short(text: str) -> str:
    """Keep an error's message short, whatever the client calls its properties."""
    printable = "".join(c if c.isprintable() else "?" for c in text[:80])
    return printable if len(text) <= 80 else f"{printable}..."
