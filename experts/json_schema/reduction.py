"""Reduces JSON Schemas to a small finite tree of known keywords with checked values.

A client's schema would go into an engine's grammar compiler. That fails inside the step that serves all sequences
(measured: one unknown type ends OpenVINO GenAI's whole batch), is slow on large schemas, and follows cycles. So no
schema goes there as it came: `reduce_schema` builds a new one from what it understands. The gateway refuses early with
it, `experts.conversation.constraints` holds answers to it, and `experts.json_schema.conformance` checks whole answers
against it.

A value that follows the schema follows the reduced one. In strict mode the reverse is true as well, because keywords
that a reduced schema cannot express are refused by name; otherwise they are left out. There are two liberties. A part
without a type that has `properties`, `required` or `additionalProperties` describes an object, as everybody who writes
one means. And a schema that refers to itself is laid out as many times inside itself as there is room for, at most
`MAX_ROUNDS`: a value that goes deeper does not follow the reduced schema.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from experts.json_schema.keywords import (
    ABOUT_TYPES,
    CHOICES,
    KNOWN,
    OBJECT,
    OF_TYPE,
    TYPES,
    SchemaError,
    is_name,
    read_bounds,
    read_lengths,
    read_values,
    short,
)
from experts.json_schema.merge import (
    ANYTHING,
    NOTHING,
    Merger,
    MergeTooLarge,
    TwoFormats,
    checked,
    choice,
    object_parts,
)
from experts.json_schema.pattern import PatternError, parse_pattern
from experts.json_schema.pointer import resolve
from experts.json_schema.string_formats import FORMATS

__all__ = ["Mode", "Schema", "SchemaError", "reduce_counted", "reduce_schema"]

Schema = dict[str, Any]
Mode = Literal["strict", "loose", "forgiving"]
"""strict refuses what cannot be held; loose leaves it out; forgiving lets anything stand where a part is wrong."""

MAX_DEPTH = 16
MAX_NODES = 2_000
MAX_PROPERTIES = 1_000  # of one object
MAX_ENUM_CHARS = 20_000  # of all enumerations together
MAX_ROUNDS = 5
"""Times that a part which refers to itself is laid out inside itself."""

_Place = tuple[str, int, tuple[str, ...]]
"""Where a node stands: its path, its depth, and the references that led to it."""


def reduce_schema(schema: object, mode: Mode) -> Schema:
    """Reduce a schema: `$ref`s are put in place, parts beside each other merged, what steers nothing is left out.

    The result is `{}` (anything) or has exactly one of `enum`, `anyOf`, `oneOf`, `not` (with `{}`: nothing, only below
    the root) and `type`, the last with that type's keywords.

    Raises:
        SchemaError: it is wrong, endless or too large, nothing follows it, or (strict) it says what cannot be held;
            never when forgiving.
    """
    return reduce_counted(schema, mode)[0]


def reduce_counted(schema: object, mode: Mode) -> tuple[Schema, int]:
    """Reduce a schema as `reduce_schema` does; return with it how many parts were looked at, 1.4 to 4 us each."""
    work = 0
    for rounds in range(MAX_ROUNDS, -1, -1):
        reducer = _Reducer(schema, mode, rounds)
        try:
            reduced = reducer.whole(schema, ("#", 0, ()))
            break
        except TooLarge:
            if not reducer.is_recursive or not rounds:
                raise
        finally:
            work += reducer.work
    if reduced == NOTHING and mode != "forgiving":
        raise SchemaError("no value follows the schema")
    return ANYTHING if reduced == NOTHING else reduced, work


class TooLarge(SchemaError):
    """A schema has too many parts or levels."""


class _Reducer:
    """One reduction: the document that `$ref` points into, and what is left of the budget.

    Attributes:
        is_recursive: a part refers to itself.
    """

    def __init__(self, root: object, mode: Mode, rounds: int) -> None:
        self._root = root
        self._mode = mode
        self._rounds = rounds
        self.is_recursive = False
        self._nodes = MAX_NODES
        self._enum_chars = MAX_ENUM_CHARS
        self._merger = Merger()
        self._left_out = 0  # what the schema says and the result does not

    @property
    def work(self) -> int:
        """Parts that were looked at, those that were merged counted once more."""
        return MAX_NODES - self._nodes + self._merger.steps

    def whole(self, schema: object, place: _Place) -> Schema:
        """Reduce what describes a value on its own; there, properties without a type mean an object."""
        reduced = self.reduce(schema, place)
        if not _means_object(schema) or reduced == ANYTHING:
            return reduced
        return self._merger.both(reduced, {"type": "object"})

    def reduce(self, schema: object, place: _Place) -> Schema:
        """Reduce one node."""
        try:
            return self._reduce(schema, place)
        except MergeTooLarge:
            failure = SchemaError(f"{short(place[0])}: schemas beside each other have too many combinations")
        except TwoFormats:
            failure = SchemaError(f"{short(place[0])}: a string cannot have two formats at once")
        except TooLarge as error:
            if self.is_recursive and self._rounds:
                raise  # there is room where it is laid out less often
            failure = error
        except SchemaError as error:
            failure = error
        if self._mode != "forgiving":
            raise failure
        self._left_out += 1
        return ANYTHING

    def _reduce(self, schema: object, place: _Place) -> Schema:
        self._nodes -= 1
        if self._nodes < 0 or place[1] > MAX_DEPTH:
            raise TooLarge(f"the schema has more than {MAX_NODES} parts or {MAX_DEPTH} levels")
        if isinstance(schema, bool):
            return ANYTHING if schema else NOTHING
        if not isinstance(schema, dict):
            raise SchemaError(f"{short(place[0])} is not a schema")
        if _is_anything(schema.get("not", False)):
            return NOTHING
        self._leave_out(schema, place[0])
        merged = self._typed(schema, place)
        for part in self._beside(schema, place):
            merged = self._merger.both(merged, part)
        return merged

    def _leave_out(self, schema: Mapping[str, Any], at: str) -> None:
        """Name what is not known, if that matters."""
        unknown = [keyword for keyword in schema if keyword not in KNOWN]
        self._left_out += len(unknown)
        if unknown and self._mode == "strict":
            raise SchemaError(f"{short(at)}: the keyword {short(unknown[0])!r} is not supported here in strict mode")

    def _beside(self, schema: Mapping[str, Any], place: _Place) -> list[Schema]:
        """Reduce what else a node asks for beside its type's keywords."""
        below = self.reduce if "type" in schema else self.whole
        parts = [self._follow(schema["$ref"], place, below)] if "$ref" in schema else []
        if "enum" in schema:
            parts.append(self._values(schema["enum"], place[0]))
        if "const" in schema:
            parts.append(self._values([schema["const"]], place[0]))
        return parts + [
            self._choice(keyword, schema[keyword], place, below) for keyword in CHOICES if keyword in schema
        ]

    def _follow(self, ref: object, place: _Place, below: Callable[[object, _Place], Schema]) -> Schema:
        at, depth, open_refs = place
        if not isinstance(ref, str) or not (ref == "#" or ref.startswith("#/")):
            raise SchemaError(f"{short(at)}: a $ref must point into the schema itself")
        rounds = open_refs.count(ref)
        self.is_recursive |= rounds > 0
        if rounds > self._rounds:
            return ANYTHING if self._mode == "forgiving" else NOTHING
        try:
            target = resolve(self._root, ref)
        except LookupError:
            raise SchemaError(f"{short(at)}: a $ref points nowhere") from None
        return below(target, (ref, depth + 1, (*open_refs, ref)))

    def _values(self, values: object, at: str) -> Schema:
        read, size = read_values(values, at)
        self._enum_chars -= size
        if self._enum_chars < 0:
            raise SchemaError(f"{short(at)}: the schema's enums are longer than {MAX_ENUM_CHARS} characters")
        return {"enum": read}

    def _choice(self, keyword: str, parts: object, place: _Place, below: Callable[[object, _Place], Schema]) -> Schema:
        """All, one or exactly one of several."""
        if not isinstance(parts, list) or not parts:
            raise SchemaError(f"{short(place[0])}: {keyword} holds at least one schema")
        left_out = self._left_out
        reduced = [below(part, _below(place, f"{keyword}/{i}")) for i, part in enumerate(parts)]
        if keyword == "allOf":
            merged = ANYTHING
            for part in reduced:
                merged = self._merger.both(merged, part)
            return merged
        # Two parts may differ only in what was left out: then both may hold, and "exactly one" would refuse everything.
        return choice("oneOf" if keyword == "oneOf" and left_out == self._left_out else "anyOf", reduced)

    def _typed(self, schema: Mapping[str, Any], place: _Place) -> Schema:
        """Reduce a node's type and that type's keywords; without a type they bind only values that are of it."""
        named = schema.get("type")
        if named is None:
            if not ABOUT_TYPES & schema.keys():
                return ANYTHING
            named = list(OF_TYPE)
        types = named if isinstance(named, list) else [named]
        if not types or not all(_is_text(name) and name in TYPES for name in types):
            raise SchemaError(f"{short(place[0])}: a type is one of {', '.join(TYPES)}")
        return choice("anyOf", [checked(self._of_type(name, schema, place)) for name in dict.fromkeys(types)])

    def _of_type(self, name: str, schema: Mapping[str, Any], place: _Place) -> Schema:
        match name:
            case "object":
                return {"type": name} | self._object(schema, place)
            case "array":
                return {"type": name} | self._array(schema, place)
            case "string":
                lengths = read_lengths(schema, "minLength", "maxLength", place[0])
                return {"type": name} | lengths | self._format(schema, place[0]) | self._pattern(schema, place[0])
            case "integer" | "number":
                return {"type": name} | read_bounds(schema, place[0])
            case _:
                return {"type": name}

    def _object(self, schema: Mapping[str, Any], place: _Place) -> Schema:
        properties, required = schema.get("properties", {}), schema.get("required", [])
        if not isinstance(properties, dict) or not isinstance(required, list) or not all(map(_is_text, required)):
            raise SchemaError(f"{short(place[0])}: properties is an object of schemas, required a list of names")
        # What `patternProperties` lets in must not be kept out, even where it is not understood.
        extra = True if "patternProperties" in schema else schema.get("additionalProperties", True)
        named = {**properties, **{name: extra for name in required if name not in properties}}
        if len(named) > MAX_PROPERTIES or not all(map(is_name, named)):
            raise SchemaError(f"{short(place[0])}: an object has at most {MAX_PROPERTIES} properties, with short names")
        reduced = {name: self.whole(part, _below(place, f"properties/{name}")) for name, part in named.items()}
        rest = self.whole(extra, _below(place, "additionalProperties"))
        says_rest = bool({"additionalProperties", "patternProperties"} & schema.keys())
        return object_parts(reduced, list(dict.fromkeys(required)), rest, says_rest=says_rest)

    def _array(self, schema: Mapping[str, Any], place: _Place) -> Schema:
        items, first = schema.get("items", True), schema.get("prefixItems", [])
        if isinstance(items, list):  # a list is what `prefixItems` was called before draft 2020-12
            items, first = schema.get("additionalItems", True), items
        if not isinstance(first, list):
            raise SchemaError(f"{short(place[0])}: prefixItems is a list of schemas")
        lengths = read_lengths(schema, "minItems", "maxItems", place[0])
        parts: Schema = {"items": self.whole(items, _below(place, "items"))}
        if first:
            parts["prefixItems"] = [self.whole(part, _below(place, f"prefixItems/{i}")) for i, part in enumerate(first)]
        if schema.get("uniqueItems") is True:
            parts["uniqueItems"] = True
        return parts | lengths

    def _pattern(self, schema: Mapping[str, Any], at: str) -> Schema:
        pattern = schema.get("pattern")
        if pattern is None:
            return {}
        try:
            parse_pattern(pattern if isinstance(pattern, str) else "(")
        except PatternError as error:
            if self._mode == "strict":
                raise SchemaError(f"{short(at)}: {error}") from None
            self._left_out += 1
            return {}
        return {"pattern": pattern}

    def _format(self, schema: Mapping[str, Any], at: str) -> Schema:
        name = schema.get("format")
        if name is None or (isinstance(name, str) and name in FORMATS):
            return {} if name is None else {"format": name}
        if self._mode == "strict":
            raise SchemaError(f"{short(at)}: a format is one of {', '.join(sorted(FORMATS))}")
        self._left_out += 1
        return {}


def _below(place: _Place, step: str) -> _Place:
    at, depth, open_refs = place
    return f"{at}/{step}", depth + 1, open_refs


def _means_object(schema: object) -> bool:
    """Say whether a node has an object's keywords and no word of what type it is."""
    if not isinstance(schema, dict) or {"type", "enum", "const"} & schema.keys():
        return False
    parts = schema.get("allOf")
    return bool(OBJECT & schema.keys()) or (isinstance(parts, list) and any(map(_means_object, parts)))


def _is_anything(schema: object) -> bool:
    return schema is True or schema == ANYTHING


def _is_text(value: object) -> bool:
    return isinstance(value, str)
