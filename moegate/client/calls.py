"""The calls of one answer, as OpenAI-compatible servers send them, whole or in pieces.

A call is numbered by its place in the answer, from 1. moegate writes beside each call of a plan which earlier ones it
`depends_on`; a call without that list, as other servers send it, needs nothing and refers to nothing.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from moegate.client.references import references


class PlanError(Exception):
    """A call cannot be carried out as it stands; the message is meant for the model."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call.

    Attributes:
        number: its place in the answer, from 1.
        id: the server's name for it.
        name: the tool's.
        arguments: a JSON object, serialised, as the model wrote it.
        depends_on: numbers of earlier calls whose results it needs; empty for plain parallel calls.
    """

    number: int
    id: str
    name: str
    arguments: str
    depends_on: tuple[int, ...] = ()

    def read(self) -> dict[str, Any]:
        """Return the arguments.

        Raises:
            PlanError: they are no JSON object, or depend on a call that does not come before this one.
        """
        try:
            arguments = json.loads(self.arguments or "{}")
        except ValueError:
            raise PlanError("the arguments are not JSON") from None
        except RecursionError:
            raise PlanError("the arguments are nested too deeply") from None
        if not isinstance(arguments, dict):
            raise PlanError("the arguments are not an object")
        if any(not 1 <= number < self.number for number in self.depends_on):
            raise PlanError("it depends on a call that does not come before it")
        return arguments

    def message(self) -> dict[str, Any]:
        """Return it as an assistant's message holds it; no field that other servers do not know."""
        return {"id": self.id, "type": "function", "function": {"name": self.name, "arguments": self.arguments}}


def call_of(number: int, raw: Mapping[str, Any]) -> Call:
    """Read one of a message's `tool_calls`.

    Where the server lists what a call depends on, references in its arguments count as well. A list that cannot be read
    makes a call that cannot be carried out: one that waits for itself.
    """
    function = raw.get("function") or {}
    depends_on = raw.get("depends_on")
    named = tuple(depends_on or ()) if depends_on is None or _are_numbers(depends_on) else (number,)
    call = Call(number, str(raw.get("id") or f"call_{number}"), str(function.get("name") or ""),
                str(function.get("arguments") or ""), named)  # fmt: skip
    return call if depends_on is None else _with_references(call)


def _are_numbers(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, int) and not isinstance(one, bool) for one in value)


def _with_references(call: Call) -> Call:
    """Add to what a call of a plan depends on what its arguments refer to, should the list be short of it."""
    try:
        found = {number for number in references(json.loads(call.arguments or "{}")) if 1 <= number < call.number}
    except (ValueError, RecursionError):
        found = set()
    return Call(call.number, call.id, call.name, call.arguments, tuple(sorted({*call.depends_on, *found})))


class CallPieces:
    """Puts the pieces of streamed calls together; a call is complete once the next one begins, or the stream ends."""

    def __init__(self) -> None:
        self._raw: dict[int, dict[str, Any]] = {}
        self._given = 0

    def push(self, pieces: Iterable[Mapping[str, Any]]) -> list[Call]:
        """Take the `tool_calls` of a delta; return the calls that are complete now."""
        for piece in pieces:
            at = int(piece.get("index") or 0)
            raw = self._raw.setdefault(at, {"function": {"name": "", "arguments": ""}})
            function = piece.get("function") or {}
            raw["id"] = raw.get("id") or piece.get("id")
            raw["function"]["name"] += function.get("name") or ""
            raw["function"]["arguments"] += function.get("arguments") or ""
            if piece.get("depends_on") is not None:
                raw["depends_on"] = piece["depends_on"]
        return self._complete(len(self._raw) - 1)

    def close(self) -> list[Call]:
        """Return the calls that the end completes."""
        return self._complete(len(self._raw))

    def _complete(self, upto: int) -> list[Call]:
        ordered = sorted(self._raw)
        calls = [call_of(at + 1, self._raw[ordered[at]]) for at in range(self._given, upto)]
        self._given = max(self._given, upto)
        return calls
