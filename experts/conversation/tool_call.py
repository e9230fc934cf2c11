"""One tool call: from the object that a model wrote to a name and arguments, and the outcome.

`experts.conversation.tool_calls` finds calls in a stream and asks here what each one is. The outcomes label the
gateway's `moegate_tool_calls_total`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from experts.conversation.json_repair import has_twin_keys, mend, read_json
from experts.json_schema.conformance import conforms
from experts.json_schema.reduction import Schema


class Outcome(StrEnum):
    """What became of a call that the model began."""

    OK = "ok"
    REPAIRED = "repaired"  # not a call as it stood, mended once
    TEXT = "text"  # no call could be made of it: words, or nothing where it was cut off behind whole calls
    INVALID_ARGUMENTS = "invalid_arguments"  # a call, but its arguments do not follow the tool's schema
    ASKED = "asked"  # a call whose required value nobody said: a question came in its place


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a tool that was offered; `arguments` is a JSON object, serialised."""

    name: str
    arguments: str


def read_call(
    body: str, schemas: Mapping[str, Schema], *, may_mend: bool, number: int | None = None
) -> tuple[Outcome, Call | None]:
    """Read what stood between the tags.

    A call whose arguments do not follow the schema is returned all the same: the caller knows best whether to run it,
    to ask back, or to let the model try again.

    Args:
        body: the text.
        schemas: the reduced parameters of each tool on offer.
        may_mend: try once to mend what is no JSON as it stands.
        number: the place that a step of a plan has, and that its `id` must name; None outside plans.
    """
    try:
        value, was_mended = _load(body, may_mend=may_mend)
    except ValueError:
        return Outcome.TEXT, None
    if not isinstance(value, dict):
        return Outcome.TEXT, None
    name = _offered(value.get("name"), schemas)
    arguments = _object(value.get("arguments", {}))
    if name is None or arguments is None or not (may_mend or name == value["name"]):
        return Outcome.TEXT, None
    call = Call(name, serialise(arguments))
    is_misnumbered = number is not None and value.get("id", number) != number
    if is_misnumbered or not conforms(arguments, schemas[name]) or (not was_mended and has_twin_keys(body)):
        return Outcome.INVALID_ARGUMENTS, call
    is_as_written = not was_mended and name == value["name"] and arguments is value.get("arguments")
    return (Outcome.OK if is_as_written else Outcome.REPAIRED), call


def serialise(value: object) -> str:
    """Write JSON in UTF-8's own letters; half a surrogate pair, which UTF-8 has not, stays escaped."""
    text = json.dumps(value, ensure_ascii=False)
    return text if text.isascii() or not any("\ud800" <= c <= "\udfff" for c in text) else json.dumps(value)


def _load(body: str, *, may_mend: bool) -> tuple[object, bool]:
    try:
        return read_json(body), False
    except ValueError:
        if not may_mend:
            raise
        return mend(body), True


def _offered(name: object, schemas: Mapping[str, Schema]) -> str | None:
    """Find the tool that is meant: by its exact name, or by a name that differs in case alone."""
    if not isinstance(name, str) or name in schemas:
        return name if isinstance(name, str) else None
    alike = [offered for offered in schemas if offered.casefold() == name.casefold()]
    return alike[0] if len(alike) == 1 else None


def _object(arguments: object) -> dict[str, object] | None:
    """Read the arguments; some models write them as a string of JSON."""
    if isinstance(arguments, str):
        try:
            arguments = read_json(arguments)
        except ValueError:
            return None
    return arguments if isinstance(arguments, dict) else None
