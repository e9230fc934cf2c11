"""What of a grammar refers to no other rule: literal texts, classes of characters, and numbers between bounds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from experts.json_schema.conformance import Schema
from experts.json_schema.integer_ranges import integer_patterns, whole_bounds
from experts.json_schema.multiples import multiple_patterns
from experts.json_schema.number_ranges import number_patterns

_BOUNDS: Final = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"})
_MAX_LISTED = 500  # whole numbers between two bounds that are listed one by one


def all_but(characters: Mapping[str, Any]) -> str:
    """Write the class of a string's plain characters without these."""
    excluded = sorted({ord(character) for character in characters} | {0x22, 0x5C})
    ranges, start = [], 0x20
    for code in [*excluded, 0x110000]:
        if start < code:
            ranges.append((start, code - 1))
        start = code + 1
    return "[" + "".join(f"\\U{low:08x}-\\U{high:08x}" for low, high in ranges) + "]"


def integer(schema: Schema) -> str:
    """Write the whole numbers that follow a schema's bounds and step, as near as a grammar comes to them."""
    low, high = whole_bounds(schema)
    step = schema.get("multipleOf", 1)
    if low is None and high is None and step == 1:
        return "integer"
    if (
        low is not None
        and high is not None
        and isinstance(step, int)
        and high - low <= _MAX_LISTED * step > _MAX_LISTED
    ):
        return " | ".join(literal(str(value)) for value in range(-(-low // step) * step, high + 1, step))
    stepped = multiple_patterns(schema) if step != 1 else None
    patterns = stepped or integer_patterns(low, high)
    return " | ".join(patterns) or "integer"


def number(schema: Schema) -> str:
    """Write the numbers that follow them."""
    patterns = multiple_patterns(schema) if "multipleOf" in schema else None
    if not patterns and not _BOUNDS & schema.keys():
        return "number"
    return " | ".join(patterns or number_patterns(schema)) or "number"


def literal(text: str) -> str:
    """Write a text as terminals. A character beyond ASCII is one of its own: XGrammar would read on behind it."""
    pieces = [piece for piece in re.split("([^ -~])", text) if piece]
    return " ".join(f'"{_spelt(piece)}"' for piece in pieces) or '""'


def _spelt(piece: str) -> str:
    if " " <= piece[0] <= "~":
        return piece.replace("\\", "\\\\").replace('"', '\\"')
    return f"\\U{ord(piece):08x}"
