"""The calls of one answer, as OpenAI-compatible servers send them, whole or in pieces.

A call is numbered by its place in the answer, from 1. moegate writes beside each call of a plan which earlier ones it
`depends_on`; a call without that list, as other servers send it, needs nothing and refers to nothing.
"""

import json
import uuid
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
    """Read one of a message's `tool_calls`; one without an id gets one.

    Where the server lists what a call depends on, references in its arguments count as well. A list that cannot be read
    makes a call that cannot be carried out: one that waits for itself.
    """
    function = raw.get("function") or {}
    depends_on = raw.get("depends_on")
    named = tuple(depends_on or ()) if depends_on is None or _are_numbers(depends_on) else (number,)
    call = Call(number, str(raw.get("id") or f"call_{uuid.uuid4().hex[:24]}"), str(function.get("name") or ""),
                _written(function.get("arguments")), named)  # fmt: skip
    return call if depends_on is None else _with_references(call)


def _written(arguments: object) -> str:
    """Return the arguments as text; some servers send the object itself."""
    return json.dumps(arguments) if isinstance(arguments, Mapping) else str(arguments or "")


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
    """Puts the pieces of streamed calls together.

    A call is complete once the next one has begun and its arguments are an object, or the stream ends: some servers
    send the pieces of several calls in turn. Some number no call, or all of them 0; there an id of its own, or a name
    behind whole arguments, begins the next.
    """

    def __init__(self) -> None:
        self._calls: list[dict[str, Any]] = []  # in the order of the answer
        self._latest: dict[object, dict[str, Any]] = {}  # by index
        self._given = 0

    def push(self, pieces: Iterable[Mapping[str, Any]]) -> list[Call]:
        """Take the `tool_calls` of a delta; return the calls that are complete now."""
        for piece in pieces:
            self._take(piece)
        return self._complete(is_end=False)

    def close(self) -> list[Call]:
        """Return the calls that the end completes."""
        return self._complete(is_end=True)

    def _take(self, piece: Mapping[str, Any]) -> None:
        function = piece.get("function") or {}
        name = function.get("name") or ""
        raw = self._call(piece.get("index"), piece.get("id"), name)
        raw["id"] = raw["id"] or piece.get("id")
        if name != raw["function"]["name"]:  # some servers say it again with each piece
            raw["function"]["name"] += name
        raw["function"]["arguments"] += _written(function.get("arguments"))
        if piece.get("depends_on") is not None:
            raw["depends_on"] = piece["depends_on"]

    def _call(self, index: object, call_id: object, name: str) -> dict[str, Any]:
        """Return the call that a piece belongs to, which may begin with it."""
        latest = self._latest.get(index)
        if latest is not None and (call_id and latest["id"]):
            is_next = call_id != latest["id"]
        else:
            is_next = latest is None or bool(name and _is_object(latest["function"]["arguments"]))
        if is_next or latest is None:
            latest = self._latest[index] = {"id": None, "function": {"name": "", "arguments": ""}}
            self._calls.append(latest)
        return latest

    def _complete(self, *, is_end: bool) -> list[Call]:
        calls: list[Call] = []
        while self._given < len(self._calls):
            raw, is_last = self._calls[self._given], self._given == len(self._calls) - 1
            if not is_end and (is_last or not _is_object(raw["function"]["arguments"])):
                break
            self._given += 1
            calls.append(call_of(self._given, raw))
        return calls


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
