"""Regular expressions of JSON Schema's `pattern` (ECMA-262, https://tc39.es/ecma262/#sec-patterns), parsed to a tree.

Clients' expressions never run in a backtracking engine: one of thirty characters can hold such an engine for hours.
`experts.json_schema.pattern_match` walks the tree in bounded time, `experts.json_schema.pattern_grammar` writes it as a
grammar. Back-references, flags and Unicode properties are refused by name. A lazy quantifier means the same as any.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from experts.json_schema.pattern_tree import (
    BLANK,
    DIGIT,
    MAX_CODE,
    WORD,
    Chars,
    Edge,
    Look,
    Node,
    Options,
    Ranges,
    Repeat,
    Sequence,
    joined_ranges,
    ranges_of,
    without,
)

MAX_CHARS: Final = 1_000
MAX_REPEATS: Final = 1_000  # of one part
_MAX_WEIGHT: Final = 5_000  # parts of the tree, each as often as its quantifiers ask for
_MAX_LEVELS: Final = 30


class PatternError(ValueError):
    """An expression is wrong, too large, or says what is not supported; the message says which."""


_LINE_ENDS: Final = ranges_of("\n", "\r", "\u2028\u2029")
_MARKS: Final[dict[str, Node]] = {"^": Edge("start"), "$": Edge("end"), ".": Chars(without(_LINE_ENDS))}
_CLASSES: Final = {"d": DIGIT, "w": WORD, "s": BLANK}
_CONTROLS: Final = {"t": 9, "n": 10, "v": 11, "f": 12, "r": 13, "0": 0}
_GROUPS: Final[dict[str, tuple[bool, bool]]] = {
    "?=": (True, True),
    "?!": (True, False),
    "?<=": (False, True),
    "?<!": (False, False),
}


@lru_cache(maxsize=256)
def parse_pattern(text: str) -> Node:
    """Parse an expression.

    Raises:
        PatternError: it is wrong, too large, or says what is not supported.
    """
    if len(text) > MAX_CHARS:
        raise PatternError(f"a pattern has at most {MAX_CHARS} characters")
    node = _Parser(text).whole()
    if _weight(node) > _MAX_WEIGHT:
        raise PatternError("a pattern repeats too much")
    return node


def _weight(node: Node) -> int:
    match node:
        case Sequence(parts) | Options(parts):
            return 1 + sum(map(_weight, parts))
        case Repeat(part, low, high):
            return max(1, low, high or 0) * _weight(part)
        case Look(part):
            return 1 + _weight(part)
        case _:
            return 1


class _Parser:
    """A recursive descent over one expression."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._levels = 0

    def whole(self) -> Node:
        node = self._options()
        if self._at < len(self._text):
            raise PatternError("a bracket is closed that is not open")
        return node

    def _takes(self, text: str) -> bool:
        found = self._text.startswith(text, self._at)
        self._at += len(text) * found
        return found

    def _next(self) -> str:
        if self._at >= len(self._text):
            raise PatternError("the pattern ends too early")
        self._at += 1
        return self._text[self._at - 1]

    def _options(self) -> Node:
        self._levels += 1
        if self._levels > _MAX_LEVELS:
            raise PatternError(f"a pattern has at most {_MAX_LEVELS} levels")
        options = [self._sequence()]
        while self._takes("|"):
            options.append(self._sequence())
        self._levels -= 1
        return options[0] if len(options) == 1 else Options(tuple(options))

    def _sequence(self) -> Node:
        parts: list[Node] = []
        while self._at < len(self._text) and self._text[self._at] not in "|)":
            parts.append(self._repeated(self._atom()))
        return parts[0] if len(parts) == 1 else Sequence(tuple(parts))

    def _repeated(self, part: Node) -> Node:
        bounds = self._quantifier()
        if bounds is None:
            return part
        self._takes("?")  # lazy
        if self._quantifier() is not None:
            raise PatternError("a quantifier behind a quantifier")
        return Repeat(part, *bounds)

    def _quantifier(self) -> tuple[int, int | None] | None:
        for mark, bounds in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self._takes(mark):
                return bounds
        end = self._text.find("}", self._at)
        if end < 0 or not self._text.startswith("{", self._at):
            return None
        low, comma, high = self._text[self._at + 1 : end].partition(",")
        if not low.isdecimal() or not (high.isdecimal() or not high):
            raise PatternError("what stands in braces is no count")
        self._at = end + 1
        least, most = int(low), (int(high) if high else None) if comma else int(low)
        if max(least, most or 0) > MAX_REPEATS or (most is not None and most < least):
            raise PatternError(f"a part is repeated up to {MAX_REPEATS} times, the lower count first")
        return least, most

    def _atom(self) -> Node:
        mark = self._next()
        if mark in "*+?{":
            raise PatternError("nothing to repeat")
        match mark:
            case "(":
                return self._group()
            case "[":
                return Chars(self._class())
            case "\\":
                return self._escaped()
        return _MARKS.get(mark) or Chars(((ord(mark), ord(mark)),))

    def _group(self) -> Node:
        make: Callable[[Node], Node] = _as_it_is
        if self._text.startswith("?", self._at):
            make = self._kind_of_group()
        inner = self._options()
        if not self._takes(")"):
            raise PatternError("a bracket is not closed")
        return make(inner)

    def _kind_of_group(self) -> Callable[[Node], Node]:
        for head, (is_ahead, is_wanted) in _GROUPS.items():
            if self._takes(head):
                return lambda part: Look(part, is_ahead, is_wanted)
        if self._takes("?:"):
            return _as_it_is
        end = self._text.find(">", self._at)
        if end > 0 and (self._takes("?<") or self._takes("?P<")) and self._text[self._at : end].isidentifier():
            self._at = end + 1
            return _as_it_is
        raise PatternError("this kind of group is not supported")

    def _escaped(self) -> Node:
        mark = self._next()
        if mark in "bB":
            return Edge("word" if mark == "b" else "inside")
        return Chars(self._escape(mark))

    def _escape(self, mark: str) -> Ranges:
        """Read what follows a backslash, in a class or outside."""
        if mark.lower() in _CLASSES:
            ranges = _CLASSES[mark.lower()]
            return ranges if mark.islower() else without(ranges)
        if mark in "pPk" or mark in "123456789":
            kind = "Unicode properties are" if mark in "pP" else "back-references are"
            raise PatternError(f"{kind} not supported in a pattern")
        code = self._code(mark)
        return ((code, code),)

    def _code(self, mark: str) -> int:
        if mark in _CONTROLS:
            return _CONTROLS[mark]
        if mark == "c":
            return ord(self._next()) % 32
        if mark in "xu":
            return self._hexadecimal(mark)
        if mark.isascii() and mark.isalnum():
            raise PatternError("a letter behind a backslash that means nothing")
        return ord(mark)

    def _hexadecimal(self, mark: str) -> int:
        if mark == "u" and self._takes("{"):
            end = self._text.find("}", self._at)
            digits, self._at = self._text[self._at : max(end, self._at)], end + 1
        else:
            count = 2 if mark == "x" else 4
            digits, self._at = self._text[self._at : self._at + count], self._at + count
        try:
            code = int(digits, 16) if digits.isalnum() else -1
        except ValueError:
            code = -1
        if not 0 <= code <= MAX_CODE:
            raise PatternError("a character's code is hexadecimal digits")
        return code

    def _class(self) -> Ranges:
        is_without = self._takes("^")
        found: list[tuple[int, int]] = []
        while not self._takes("]"):
            low = self._member()
            if self._text.startswith("-", self._at) and not self._text.startswith("-]", self._at):
                self._at += 1
                high = self._member()
                if len(low) > 1 or len(high) > 1 or low[0][0] > high[0][1] or low[0][0] != low[0][1]:
                    raise PatternError("a range of characters goes from a lower one to a higher one")
                found.append((low[0][0], high[0][1]))
            else:
                found += low
        ranges = joined_ranges(found)
        return without(ranges) if is_without else ranges

    def _member(self) -> Ranges:
        mark = self._next()
        if mark != "\\":
            return ((ord(mark), ord(mark)),)
        mark = self._next()
        return ((8, 8),) if mark == "b" else self._escape(mark)


def _as_it_is(node: Node) -> Node:
    return node
