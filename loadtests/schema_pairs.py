"""Random schemas, each with a value that follows it, for `loadtests.strict_schemas`.

A schema and its value are made together, so that the value keeps every bound, length and choice. Values are realistic
(prices, counts, dates, names in several scripts) and short enough for a small model to copy.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

Schema = dict[str, Any]
Made = tuple[Schema, Any]

_WORDS: Final = ["Oslo", "red", "two words", "Zoë", "naïve", "Straße", "東京", "привет", "it's", "a-b_c", "x.y", "5 kg"]
_NAMES: Final = [
    "v",
    "price",
    "name",
    "count",
    "total amount",
    "größe",
    "цена",
    "is_open",
    "city",
    "名前",
    "x-1",
    "unit",
]
_FORMATS: Final = {"date": "2024-02-29", "email": "ann@mail.example", "ipv4": "192.168.0.1", "time": "08:30:00Z"}


@dataclass(frozen=True, slots=True)
class Pair:
    """A schema and a value that follows it."""

    number: int
    kind: str
    schema: Schema
    value: Any


def draw_pair(seed: int, number: int) -> Pair:
    """Draw the pair of that number; kinds take turns."""
    draw = random.Random(f"{seed}/{number}")
    kind = list(_KINDS)[number % len(_KINDS)]
    schema, value = _KINDS[kind](draw)
    return Pair(number, kind, schema, value)


def _number(draw: random.Random) -> Made:
    value = round(
        draw.choice([draw.uniform(-2, 2), draw.uniform(-300, 300), draw.uniform(0, 1)]), draw.choice([1, 2, 2, 3])
    )
    return {"type": "number", **_bounds(draw, value)}, value


def _integer(draw: random.Random) -> Made:
    value = draw.choice([draw.randint(-9, 9), draw.randint(-60, 60), draw.randint(-5_000, 90_000)])
    return {"type": "integer", **_bounds(draw, value)}, value


def _bounds(draw: random.Random, value: float) -> Schema:
    """None, one or two bounds around the value, near or far, whole or not."""
    steps = [0, 0.5, 1, 3, 7.25, 20, 1_000]
    low, high = value - draw.choice(steps), value + draw.choice(steps)
    bounds: Schema = {}
    if draw.random() < 0.6:
        bounds[draw.choice(["minimum", "exclusiveMinimum"]) if low < value else "minimum"] = round(low, 3)
    if draw.random() < 0.5:
        bounds[draw.choice(["maximum", "exclusiveMaximum"]) if high > value else "maximum"] = round(high, 3)
    return bounds


def _text(draw: random.Random) -> Made:
    if draw.random() < 0.3:
        name = draw.choice(list(_FORMATS))
        return {"type": "string", "format": name}, _FORMATS[name]
    value = draw.choice(_WORDS)
    schema: Schema = {"type": "string"}
    if draw.random() < 0.4:
        schema["minLength"] = draw.randint(0, len(value))
    if draw.random() < 0.4:
        schema["maxLength"] = len(value) + draw.choice([0, 1, 20])
    return schema, value


def _enum(draw: random.Random) -> Made:
    values = draw.sample([*_WORDS, 0.75, -5, 1.5, True, None, "yes", "no"], k=draw.randint(2, 6))
    return {"enum": values}, draw.choice(values)


def _simple(draw: random.Random) -> Made:
    return draw.choice([_number, _integer, _text, _enum, _boolean])(draw)


def _boolean(draw: random.Random) -> Made:
    return {"type": "boolean"}, draw.choice([True, False])


def _list(draw: random.Random) -> Made:
    schema, first = draw.choice([_integer, _text])(draw)
    count = draw.randint(1, 4)
    if schema["type"] == "integer":
        schema = {"type": "integer", "minimum": -100}
        values: list[Any] = [draw.randint(-9, 99) for _ in range(count)]
    else:
        schema, values = {"type": "string"}, [first, *draw.sample(_WORDS, k=count - 1)]
    bounds = {"minItems": draw.randint(0, count), "maxItems": count + draw.randint(0, 3)}
    return {"type": "array", "items": schema, **bounds}, values


def _object(draw: random.Random, make: Callable[[random.Random], Made] = _simple) -> Made:
    """An object of one to three properties, some of them optional, closed or open."""
    names = draw.sample(_NAMES, k=draw.randint(1, 3))
    made = {name: make(draw) for name in names}
    required = [name for name in names if draw.random() < 0.7]
    optional = draw.choice(_NAMES)
    properties = {name: schema for name, (schema, _) in made.items()}
    if optional not in properties and draw.random() < 0.3:
        properties[optional] = {"type": "string"}
    schema: Schema = {"type": "object", "properties": properties, "required": required}
    if draw.random() < 0.8:
        schema["additionalProperties"] = False
    return schema, {name: value for name, (_, value) in made.items()}


def _one(make: Callable[[random.Random], Made]) -> Callable[[random.Random], Made]:
    """Wrap a kind into `{"v": ...}`."""

    def wrapped(draw: random.Random) -> Made:
        schema, value = make(draw)
        parent = {"type": "object", "properties": {"v": schema}, "required": ["v"], "additionalProperties": False}
        return parent, {"v": value}

    return wrapped


def _nested(draw: random.Random) -> Made:
    return _object(draw, draw.choice([_object, _list, _simple]))


def _any_of(draw: random.Random) -> Made:
    """The value's own schema among others, the properties beside the choice."""
    schema, value = _object(draw)
    if draw.random() < 0.5:
        others = [{"type": "null"}, {"type": "array", "items": {"type": "string"}}]
        parts = [schema, *others[: draw.randint(1, 2)]]
        draw.shuffle(parts)
        return {"anyOf": parts}, value
    names = list(value)
    return {**schema, "anyOf": [{"required": names}, {"required": ["nobody"], "properties": {"nobody": False}}]}, value


def _all_of(draw: random.Random) -> Made:
    """Two objects that both hold; open, because a closed one would forbid the other's properties."""
    (one, first), (other, second) = _object(draw), _object(draw)
    second = {name: part for name, part in second.items() if name not in one["properties"]}
    kept = {name: part for name, part in other["properties"].items() if name in second}
    one.pop("additionalProperties", None)
    rest: Schema = {"type": "object", "properties": kept, "required": list(second)}
    return draw.choice([{"allOf": [one, rest]}, {**one, "allOf": [rest]}]), first | second


def _reference(draw: random.Random) -> Made:
    """A property behind a reference, with more asked beside it."""
    schema, value = _simple(draw)
    name = draw.choice(["Box", "Box<string>", "a/b", "größe"])
    escaped = name.replace("/", "~1").replace("<", "%3C").replace(">", "%3E")
    part = {"$ref": f"#/$defs/{escaped}", "description": "the value"}
    parent: Schema = {"type": "object", "properties": {"v": part}, "required": ["v"], "additionalProperties": False}
    return {**parent, "$defs": {name: schema}}, {"v": value}


def _keys(draw: random.Random) -> Made:
    """Keys that the schema does not name, beside one that it does."""
    schema, _ = draw.choice([_integer, _boolean])(draw)
    schema = {"type": schema["type"]}
    names = draw.sample(_NAMES, k=draw.randint(1, 3))
    value: dict[str, Any] = {"id": draw.choice(_WORDS)}
    value |= {name: draw.randint(-99, 999) if schema["type"] == "integer" else draw.random() < 0.5 for name in names}
    return {
        "type": "object",
        "properties": {"id": {"type": "string"}},
        "required": ["id"],
        "additionalProperties": schema,
    }, value


_KINDS: Final[dict[str, Callable[[random.Random], Made]]] = {
    "number": _one(_number),
    "integer": _one(_integer),
    "text": _one(_text),
    "enum": _one(_enum),
    "list": _one(_list),
    "object": _object,
    "nested": _nested,
    "anyOf": _any_of,
    "allOf": _all_of,
    "$ref": _reference,
    "keys": _keys,
}
