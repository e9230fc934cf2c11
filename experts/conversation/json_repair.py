"""JSON that a model almost wrote: finds its end, and tries once to repair it.

`JsonScanner` follows an object character by character and knows when it is complete, so that a tag inside a string does
not count as the end. `mend` closes what was left open and reads Python's literals as JSON's; it invents nothing. Used
by `experts.conversation.tool_calls`.
"""

from __future__ import annotations

import ast
import json
import re
import warnings

from experts.conversation.bounded_json import check_bounds

MAX_CHARS = 100_000

_CLOSERS = {"{": "}", "[": "]"}
_STRING_OR_LITERAL = re.compile(r'"(?:[^"\\]|\\.)*"|\b(?:True|False|None)\b', re.DOTALL)
_LITERALS = {"True": "true", "False": "false", "None": "null"}


class JsonScanner:
    """Follows one JSON object.

    Attributes:
        in_string: the last character pushed was inside a string.
        is_complete: the object's last brace has been pushed.
    """

    def __init__(self) -> None:
        self.in_string = False
        self.is_complete = False
        self._escaped = False
        self._open: list[str] = []

    @property
    def missing(self) -> str:
        """The brackets that would close what is open."""
        return "".join(reversed(self._open))

    def push(self, character: str) -> None:
        """Take the next character."""
        if self.in_string:
            self._in_string(character)
        elif character == '"':
            self.in_string = True
        elif character in _CLOSERS:
            self._open.append(_CLOSERS[character])
        elif self._open and character == self._open[-1]:
            self._open.pop()
            self.is_complete = not self._open

    def _in_string(self, character: str) -> None:
        if self._escaped:
            self._escaped = False
        elif character == "\\":
            self._escaped = True
        elif character == '"':
            self.in_string = False


def read_json(text: str) -> object:
    """Read JSON as it stands.

    Raises:
        ValueError: it is none, holds what JSON has no word for, or is beyond its bounds.
    """
    check_bounds(text)
    return json.loads(text, parse_constant=_no_constant)


def has_twin_keys(text: str) -> bool:
    """Say whether an object in a JSON text has a key twice: readers differ in which of the two they keep.

    Raises:
        ValueError: the text is not JSON.
    """
    found = False

    def note(pairs: list[tuple[str, object]]) -> None:
        nonlocal found
        found = found or len({name for name, _ in pairs}) < len(pairs)

    json.loads(text, object_pairs_hook=note)
    return found


def mend(text: str) -> object:
    """Read what is almost JSON.

    Raises:
        ValueError: it cannot be mended.
    """
    if len(text) > MAX_CHARS:
        raise ValueError("too long")
    for closed in dict.fromkeys((text.strip(), *_closed(text.strip()))):
        for read in (_read_loosely, _read_python):
            try:
                check_bounds(closed)
                return read(closed)
            except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
                continue
    raise ValueError("not JSON")


def _no_constant(name: str) -> object:
    raise ValueError(name)


def _closed(text: str) -> list[str]:
    """Close what is open; brackets at the end of an open string were more likely meant to stand after it."""
    scanner = JsonScanner()
    for character in text:
        scanner.push(character)
    if not scanner.in_string:
        return [text.rstrip(", \n") + scanner.missing]
    bare = text.rstrip("}] \n")
    return [f'{bare}"{scanner.missing}', f'{text}"{scanner.missing}']


def _read_loosely(text: str) -> object:
    """Read Python's names for true, false and null, and line breaks inside strings."""
    spelt = _STRING_OR_LITERAL.sub(lambda match: _LITERALS.get(match.group(), match.group()), text)
    return json.loads(spelt, strict=False, parse_constant=_no_constant)


def _read_python(text: str) -> object:
    """Read a Python literal whose values JSON has, too."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a warning would print the text
        value = ast.literal_eval(text)
    json.dumps(value, allow_nan=False)
    return value
