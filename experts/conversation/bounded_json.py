"""JSON from outside, read within limits: how deep, how many parts, how long.

Parsers recurse: Python's own raises `RecursionError` near a thousand levels, orjson writes no more than 254. So every
text that a client or a model may have nested is measured first, by linear scans that need no stack. For a text with few
brackets and commas, as almost all are, that is a few counts of bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import accumulate, islice
from typing import Final

from experts.conversation.request_limits import TEXT, Bounds

# Possessive, and an open string ends with the text: the scan never goes back, whatever the text.
_TOKENS: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[\[\]{},:]', re.DOTALL)
_ALL_BUT_MARKS: Final = bytes(set(range(256)).difference(b'[]{},"'))
_ALL_BUT_MARKS_AND_ESCAPES: Final = bytes(set(range(256)).difference(b'[]{},"\\/bfnrtu'))
_STEPS: Final = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_FREE_FORM: Final = frozenset({"content", "text", "arguments", "parameters"})
_MOST_STEPS: Final = 6  # messages[1].tool_calls[0].function.arguments
_LONGEST_NAME: Final = 64
_SHORT: Final = 4096  # bytes that are counted as they are
_QUICK_LEVELS: Final = 8
_MOST_TOKENS: Final = 20_000  # that the search for a name looks at; some ten milliseconds

Path = list[str | int]


class OutOfBounds(ValueError):
    """A text is beyond its bounds; the message says how: "is nested more than 250 levels deep"."""


def read_bounded(text: str, bounds: Bounds = TEXT) -> object:
    """Read JSON; half a surrogate pair, NaN and infinities are read as Python's reader reads them.

    Raises:
        OutOfBounds: it is beyond its bounds.
        ValueError: it is not JSON.
    """
    check_bounds(text, bounds)
    return json.loads(text)


def check_bounds(text: str, bounds: Bounds = TEXT) -> None:
    """Check a text, JSON or not.

    Raises:
        OutOfBounds: it is beyond its bounds.
    """
    crossed = crossing(text.encode("utf-8", "surrogatepass"), bounds)
    if crossed is not None:
        raise OutOfBounds(crossed)


def crossing(raw: bytes, bounds: Bounds) -> str | None:
    """Say which bound a text crosses; None when it crosses none."""
    if bounds.size is not None and len(raw) > bounds.size:
        return f"is longer than {bounds.size} bytes"
    marks = raw if len(raw) < _SHORT else raw.translate(None, _ALL_BUT_MARKS)
    if _is_within(marks, bounds):
        return None
    if b"\\" in raw:
        marks = raw.translate(None, _ALL_BUT_MARKS_AND_ESCAPES).replace(b"\\\\", b"").replace(b'\\"', b"")
    structure = _structure(marks)
    if _opened(structure) + structure.count(b",") > bounds.parts:
        return f"has more than {bounds.parts} parts"
    if not _is_shallow(structure, bounds.depth):
        return f"is nested more than {bounds.depth} levels deep"
    return None


def _opened(text: bytes) -> int:
    return text.count(b"[") + text.count(b"{")


def _is_within(text: bytes, bounds: Bounds) -> bool:
    """Whether brackets and commas are so few that no order of them crosses the bounds."""
    opened = text.count(b"[") + text.count(b"{")  # as `_opened`, which every request would call
    return opened <= bounds.depth and (len(text) <= bounds.parts or opened + text.count(b",") <= bounds.parts)


def _structure(marks: bytes) -> bytes:
    """Leave nothing of a text without escaped quotes but the brackets and commas outside its strings."""
    return b"".join(marks.split(b'"')[::2]).translate(None, _ALL_BUT_MARKS)


def _is_shallow(structure: bytes, depth: int) -> bool:
    """Whether no bracket stands deeper. First the innermost pairs go, level by level, which is mostly enough."""
    brackets = rest = structure.translate(None, b",")
    for _ in range(_QUICK_LEVELS):
        rest = rest.replace(b"[]", b"").replace(b"{}", b"")
    opened = _opened(rest)
    if opened + _QUICK_LEVELS <= depth:
        return True
    # No reader goes on after more closing brackets than opening ones, so twice as many are enough.
    return max(accumulate(map(_STEPS.__getitem__, brackets[: 2 * _opened(brackets)])), default=0) <= depth


def field_at_fault(raw: bytes, bounds: Bounds) -> str:
    """Name the field in which a body crosses its bounds, as a client writes it; empty where it is none.

    What lies inside a field of the client's own making is not named, such as a property in a tool's parameters. Where
    the search would be long, the field in which it ends is taken to be the one.
    """
    path: Path = []
    for token, path in islice(_walk(raw), _MOST_TOKENS):
        if token in b"[{" and len(path) >= bounds.depth:
            return _name(path)
    return _name(path)


def _walk(raw: bytes) -> Iterator[tuple[bytes, Path]]:
    """Yield brackets and commas, each with the path to where it stands; the path is one list that changes."""
    path: Path = []
    word = b""
    for match in _TOKENS.finditer(raw):
        token = match.group()
        match token:
            case b"[" | b"{":
                yield token, path
                path.append(0 if token == b"[" else "")
            case b"]" | b"}":
                del path[-1:]
            case b":" if path:
                path[-1] = _readable(word)
            case b",":
                yield token, path
                if path and isinstance(path[-1], int):
                    path[-1] += 1
            case _:
                word = token


def _readable(word: bytes) -> str:
    """Return a key that a message may repeat, else nothing."""
    key = word[1:-1].decode("utf-8", "replace")
    return key if key.isidentifier() and len(key) <= _LONGEST_NAME else ""


def _name(path: Path) -> str:
    name = ""
    for step in path[:_MOST_STEPS]:
        if step == "":
            break
        name += f"[{step}]" if isinstance(step, int) else f".{step}" if name else step
        if step in _FREE_FORM and path[0] != step:
            return name
    return path[0] if path and isinstance(path[0], str) else ""
