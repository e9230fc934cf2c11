"""Does a text match a `pattern`? In bounded time, whatever the expression is.

All places of a text are one number, a bit for each. A part of an expression takes the places where it may begin and
returns those where it may end, all at once, so nothing is ever tried again. The same walk goes backwards, which makes
looking ahead a mask as well. After Myers, "A fast bit-vector algorithm for approximate string matching", 1999.
"""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Final

from experts.json_schema.pattern import parse_pattern
from experts.json_schema.pattern_tree import WORD, Chars, Edge, Look, Node, Options, Ranges, Repeat, Sequence

_MAX_STEPS: Final = 20_000
_MAX_CHARS: Final = 20_000
"""Of a text; a longer one, or one that takes more steps, counts as no match: an answer must not hold up others."""


class _TooLong(Exception):
    """The walk has taken its steps."""


def is_match(text: str, pattern: str) -> bool:
    """Say whether any part of `text` matches, as JSON Schema's `pattern` asks."""
    if len(text) > _MAX_CHARS:
        return False
    try:
        return bool(_Walk(text).step(parse_pattern(pattern), forwards=True))
    except _TooLong:
        return False


class _Walk:
    """One text, walked along."""

    def __init__(self, text: str) -> None:
        self._places: dict[str, int] = {}
        for at, character in enumerate(text):
            self._places[character] = self._places.get(character, 0) | 1 << at
        self._all = (1 << (len(text) + 1)) - 1
        self._masks: dict[Ranges, int] = {}
        self._left = _MAX_STEPS
        word = self._mask(WORD)
        borders = word ^ (word << 1)
        self._edges = {"start": 1, "end": 1 << len(text), "word": borders, "inside": self._all ^ borders}

    def step(self, node: Node, places: int | None = None, *, forwards: bool) -> int:
        """Return the places where a part ends that begins at one of `places`; backwards, where it begins."""
        self._left -= 1
        if not self._left:
            raise _TooLong
        places = self._all if places is None else places
        match node:
            case Chars(ranges):
                mask = self._mask(ranges)
                return (places & mask) << 1 if forwards else places >> 1 & mask
            case Sequence(parts):
                for part in parts if forwards else reversed(parts):
                    places = self.step(part, places, forwards=forwards)
                return places
            case Options(options):
                return reduce(or_, (self.step(option, places, forwards=forwards) for option in options))
            case Repeat():
                return self._repeat(node, places, forwards=forwards)
            case _:
                return places & self._held(node)

    def _held(self, node: Look | Edge) -> int:
        """The places where something holds that takes no character."""
        if isinstance(node, Edge):
            return self._edges[node.kind]
        found = self.step(node.part, forwards=not node.is_ahead)
        return found if node.is_wanted else self._all ^ found

    def _repeat(self, node: Repeat, places: int, *, forwards: bool) -> int:
        for _ in range(node.low):
            if not places:
                return 0
            places = self.step(node.part, places, forwards=forwards)
        found, fresh = places, places
        more = self._left if node.high is None else node.high - node.low
        while fresh and more:
            fresh = self.step(node.part, fresh, forwards=forwards) & ~found
            found |= fresh
            more -= 1
        return found

    def _mask(self, ranges: Ranges) -> int:
        if ranges not in self._masks:
            mask = 0
            for character, places in self._places.items():
                if any(low <= ord(character) <= high for low, high in ranges):
                    mask |= places
            self._masks[ranges] = mask
        return self._masks[ranges]
