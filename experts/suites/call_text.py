"""Tool calls out of an expert's raw answer: one `<tool_call>{"name": ..., "arguments": {...}}</tool_call>` each.

Used by the tool-call suite. Strict: what does not parse is counted as an attempt, so that a broken call is never taken
for the plain words that a request without a fitting tool should get.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from experts.suites.ast_rules import Call

_MARK = "<tool_call>"
_CALL = re.compile(r"<tool_call>(.*?)(?:</tool_call>|$)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Spoken:
    """What an answer holds: calls that parse, and how many there were to be."""

    calls: tuple[Call, ...]
    attempts: int

    @property
    def is_broken(self) -> bool:
        """Whether some call did not parse."""
        return len(self.calls) < self.attempts


def read_calls(text: str) -> Spoken:
    """Find the calls of an answer."""
    found = [_parse(body) for body in _CALL.findall(text)]
    return Spoken(tuple(call for call in found if call is not None), text.count(_MARK))


def _parse(body: str) -> Call | None:
    try:
        content = json.loads(body)
    except ValueError:
        return None
    match content:
        case {"name": str(name), "arguments": dict(arguments)}:
            return Call(name, arguments)
        case _:
            return None
