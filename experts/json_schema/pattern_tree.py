"""The tree of a regular expression, and sets of characters as ranges of code points.

`experts.json_schema.pattern` parses an expression to it, `pattern_match` walks it, `pattern_grammar` writes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

MAX_CODE: Final = 0x10FFFF

Ranges = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Chars:
    """One character out of these ranges of code points, in order and apart."""

    ranges: Ranges


@dataclass(frozen=True, slots=True)
class Sequence:
    """One part behind another."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Options:
    """Any one of several."""

    options: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """A part, `low` to `high` times; None is no bound."""

    part: Node
    low: int
    high: int | None


@dataclass(frozen=True, slots=True)
class Look:
    """A part that must, or must not, match ahead of here or before here."""

    part: Node
    is_ahead: bool
    is_wanted: bool


@dataclass(frozen=True, slots=True)
class Edge:
    """A place between characters."""

    kind: Literal["start", "end", "word", "inside"]


Node = Chars | Sequence | Options | Repeat | Look | Edge


def without(ranges: Ranges) -> Ranges:
    """Return all characters but these."""
    left, start = [], 0
    for low, high in ranges:
        if start < low:
            left.append((start, low - 1))
        start = high + 1
    return (*left, (start, MAX_CODE)) if start <= MAX_CODE else tuple(left)


def joined_ranges(ranges: list[tuple[int, int]]) -> Ranges:
    """Put ranges in order, and those together that touch."""
    joined: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if joined and low <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
        else:
            joined.append((low, high))
    return tuple(joined)


def ranges_of(*texts: str) -> Ranges:
    """Make a set of characters: each text is one, or the first and the last of a range."""
    return joined_ranges([(ord(text[0]), ord(text[-1])) for text in texts])


DIGIT: Final = ranges_of("09")
WORD: Final = ranges_of("09", "AZ", "az", "_")
BLANK: Final = ranges_of(
    "\t\r", " ", "\u00a0", "\u1680", "\u2000\u200a", "\u2028\u2029", "\u202f", "\u205f", "\u3000", "\ufeff"
)
