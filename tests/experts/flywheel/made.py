"""Kept answers, made up."""

from __future__ import annotations

import json
from typing import Any

from experts.flywheel.interaction import Interaction, Opinion

_FIELDS = {"to": {"type": "string"}, "n": {"type": "integer"}}
_SCHEMA = {"type": "object", "properties": _FIELDS, "required": ["to"]}
MAIL = {"type": "function", "function": {"name": "mail", "parameters": _SCHEMA}}


def kept(
    number: int,
    words: str | None = None,
    answer: str = "Done.",
    *,
    rating: float | None = 1.0,
    person: str | None = None,
    expert: str = "coder",
    better: str | None = None,
    calls: list[tuple[str, Any]] | None = None,
    **asked: Any,
) -> Interaction:
    """An answer to a question of its own, liked."""
    message: dict[str, Any] = {"role": "assistant", "content": answer}
    if calls is not None:
        said = [(name, given if isinstance(given, str) else json.dumps(given)) for name, given in calls]
        functions = [{"name": name, "arguments": arguments} for name, arguments in said]
        tool_calls = [{"id": "c", "type": "function", "function": function} for function in functions]
        message |= {"content": None, "tool_calls": tool_calls}
    finish = asked.pop("finish", "stop")
    request = {"model": "auto", "messages": [{"role": "user", "content": words or question(number)}], **asked}
    record = {
        "timestamp": number,
        "workload_id": asked.get("workload", "w"),
        "client_id": f"client {number % 10}" if person is None else person,
        "request": request,
        "response": {"id": f"r{number:05}", "choices": [{"index": 0, "message": message, "finish_reason": finish}]},
        "moegate": {"expert": expert, "conversation": f"c{number}", "user": None, "recalled": False},
    }
    opinions = () if rating is None else (Opinion(rating, better),)
    return Interaction(record, opinions)


def question(number: int) -> str:
    """A question that shares few words with those of other numbers."""
    return " ".join(f"w{number}x{place}" for place in range(8))
