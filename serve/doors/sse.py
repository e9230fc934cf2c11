"""Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html), each one line of JSON."""

from collections.abc import Mapping
from typing import Any, Final

import orjson

_LINE_ENDS: Final = tuple((char.encode(), b"\\u%04x" % ord(char)) for char in "\x85\u2028\u2029")


def named_event(name: str, data: Mapping[str, Any]) -> bytes:
    """Write an event with a name."""
    return b"event: " + name.encode() + b"\ndata: " + one_line(orjson.dumps(data)) + b"\n\n"


def one_line(raw: bytes) -> bytes:
    """Escape what Unicode counts as the end of a line: some clients split a stream there (Python's `splitlines`).

    In UTF-8 JSON these bytes stand inside strings alone. orjson has escaped everything below U+0020 already.
    """
    for line_end, escaped in _LINE_ENDS:
        if line_end in raw:
            raw = raw.replace(line_end, escaped)
    return raw
