"""A `pattern` as a grammar of the inside of a JSON string: what decoding can keep to of it.

What looks ahead or back, and an edge inside the expression, is left out: the grammar then lets more through, and the
check of the whole answer decides (`experts.json_schema.pattern_match`). `experts.json_schema.grammar` repeats parts
with its own budget.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from experts.json_schema.pattern_tree import Chars, Edge, Look, Node, Options, Ranges, Repeat, Sequence

Repeated = Callable[[str, int, int | None], str]
"""Writes a part so many times, or more often than asked where that would be too many rules."""

_ESCAPED: Final = {
    0x22: r'"\\\""',
    0x5C: r'"\\\\"',
    0x08: r'"\\b"',
    0x09: r'"\\t"',
    0x0A: r'"\\n"',
    0x0C: r'"\\f"',
    0x0D: r'"\\r"',
}
"""How a string spells these characters, as terminals."""
_NOTHING: Final = '""'
_ANYTHING: Final = ((0, 0x10FFFF),)


def pattern_grammar(node: Node, repeated: Repeated) -> str | None:
    """Write the inside of a string that holds a match; None where it cannot be said."""
    try:
        return " | ".join(_anchored(option, repeated) for option in _options(node))
    except _Unwritable:
        return None


class _Unwritable(Exception):
    """A part that no grammar here can say: a class without characters, or a part that may be empty, repeated."""


def _options(node: Node) -> tuple[Node, ...]:
    return node.options if isinstance(node, Options) else (node,)


def _anchored(node: Node, repeated: Repeated) -> str:
    """Write one option, with anything before and behind it that its edges do not forbid."""
    parts = _flat(node)
    before = "" if Edge("start") in parts[: _leading(parts)] else "char*"
    behind = "" if Edge("end") in parts[len(parts) - _leading(parts[::-1]) :] else "char*"
    return f"{before} {_write(node, repeated)} {behind}".strip() or _NOTHING


def _flat(node: Node) -> tuple[Node, ...]:
    if not isinstance(node, Sequence):
        return (node,)
    return tuple(inner for part in node.parts for inner in _flat(part))


def _leading(parts: tuple[Node, ...]) -> int:
    """Count the parts at the beginning that take no character."""
    return next((at for at, part in enumerate(parts) if not isinstance(part, Edge | Look)), len(parts))


def _write(node: Node, repeated: Repeated) -> str:
    match node:
        case Chars(ranges):
            return _class(ranges)
        case Sequence(parts):
            return " ".join(filter(None, (_write(part, repeated) for part in parts))) or _NOTHING
        case Options(options):
            return f"({' | '.join(_write(option, repeated) or _NOTHING for option in options)})"
        case Repeat(part, low, high):
            if high is None and _may_be_empty(part):
                raise _Unwritable
            return repeated(f"({_write(part, repeated)})", low, high)
        case _:
            return ""


def _may_be_empty(node: Node) -> bool:
    match node:
        case Chars():
            return False
        case Sequence(parts):
            return all(map(_may_be_empty, parts))
        case Options(options):
            return any(map(_may_be_empty, options))
        case Repeat(part, low):
            return low == 0 or _may_be_empty(part)
        case _:
            return True


def _class(ranges: Ranges) -> str:
    """Write a class of characters: those that stand for themselves, and those that a string has to escape."""
    if ranges == _ANYTHING:
        return "char"
    options = [spelt for code, spelt in _ESCAPED.items() if any(low <= code <= high for low, high in ranges)]
    if plain := _plain(ranges):
        options.insert(0, f"[{plain}]")
    if any(low <= 0x1F for low, _ in ranges) and len(ranges) > 1 and ranges[-1][1] == _ANYTHING[0][1]:
        options.append('"\\\\u00" [01] hex')  # a class of all but some: the check knows which
    if not options:
        raise _Unwritable
    return options[0] if len(options) == 1 else f"({' | '.join(options)})"


def _range(start: int, end: int) -> str:
    """Write a range; letters and digits stand for themselves."""
    low, high = (
        chr(code) if chr(code).isascii() and chr(code).isalnum() else f"\\U{code:08x}" for code in (start, end)
    )
    return low if start == end and len(low) == 1 else f"{low}-{high}"


def _plain(ranges: Ranges) -> str:
    """Write the ranges without what a string escapes: controls, the quotation mark, the backslash."""
    found = ""
    for low, high in ranges:
        start = max(low, 0x20)
        for code in (0x22, 0x5C, 0x110000):
            end = min(high, code - 1)
            if start <= end:
                found += _range(start, end)
            if start <= code <= high:
                start = code + 1
            elif code > high:
                break
    return found
