"""A call whose required value nobody said becomes a question.

A small model calls all the same where a value is missing, and invents it. The calls of an expert whose catalogue entry
says `asks_for_missing` are checked before they leave (`experts.conversation.tool_calls`). A required value that rests
on nothing in the conversation, or that cannot be what the parameter is for, is asked for in place of the call.

Not asked for is what the schema itself names, and what was asked for before, whatever the user answered. Nothing is
asked where a call must come, in plans, where the answer is to be JSON, and in conversations that are not evidently
English: there a value may be a translation ("lunes" is Monday), and the question would be in the wrong language.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import chain
from typing import Any, Final

from experts.conversation.bounded_json import read_bounded
from experts.conversation.missing.aptness import is_apt, twins
from experts.conversation.missing.grounding import is_english, is_free, is_said
from experts.conversation.missing.question import ASKING, Parameter, asked_in
from experts.conversation.missing.said import Said
from experts.conversation.prompts import callable_tools
from protos import chat_pb2

MOST_HELD: Final = 2_000
"""Characters of arguments that wait for the check; a longer call holds a text that was composed, and leaves."""

_Mode = chat_pb2.ToolChoice.Mode
_MUST_CALL: Final = frozenset({_Mode.MODE_REQUIRED, _Mode.MODE_NAMED})
_DECODER: Final = json.JSONDecoder()
_SPACE: Final = re.compile(r"\s*")


class Missing:
    """Finds what calls lack in one conversation. Nothing is read before there is a call."""

    def __init__(self, conversation: chat_pb2.Conversation) -> None:
        self._conversation = conversation
        self._verdicts: dict[tuple[str, str, str], bool] = {}  # of each value, while its call still comes

    def of(self, tool: str, arguments: Mapping[str, object]) -> list[Parameter]:
        """List the required parameters of a call whose values were invented."""
        if not self._is_english:
            return []
        given = [one for one in self._required.get(tool, ()) if one.name in arguments]
        shared = twins({one.name: arguments[one.name] for one in given}, self._said)
        return [
            one
            for one in given
            if (one.name in shared or not self._rests(tool, one.name, arguments[one.name]))
            and f"{one.label} " not in self._asked
        ]

    def is_settled(self, tool: str, text: str) -> bool:
        """Say whether nothing that may still come of a call's arguments can make it a question.

        Args:
            tool: whose arguments these are.
            text: the arguments as far as they have come, from their first brace.
        """
        required = self._required.get(tool)
        if not required or len(text) > MOST_HELD or not self._is_english:
            return True
        fields = dict(whole_fields(text))
        return all(one.name in fields for one in required) and not self.of(tool, fields)

    def _rests(self, tool: str, name: str, value: object) -> bool:
        key = (tool, name, repr(value))
        if key not in self._verdicts:
            self._verdicts[key] = is_apt(tool, name, value) and is_said(value, self._said)
        return self._verdicts[key]

    @cached_property
    def _required(self) -> dict[str, list[Parameter]]:
        """What may be missing, by tool."""
        return {tool.name: list(_required(tool.parameters_json)) for tool in callable_tools(self._conversation)}

    @cached_property
    def _said(self) -> Said:
        return Said(_texts(self._conversation))

    @cached_property
    def _is_english(self) -> bool:
        users = (turn for turn in self._conversation.messages if turn.role == chat_pb2.ROLE_USER)
        return is_english(Said(turn.content for turn in users))

    @cached_property
    def _asked(self) -> str:
        """The questions that the conversation has had already."""
        turns = (turn for turn in self._conversation.messages if turn.role == chat_pb2.ROLE_ASSISTANT)
        return "".join(asked_in(turn.content) for turn in turns)


def missing_in(conversation: chat_pb2.Conversation) -> Missing | None:
    """Return what finds missing values, where a question may come in place of a call."""
    if conversation.plan or conversation.tool_choice.mode in _MUST_CALL:
        return None
    is_text = conversation.response_format.type == chat_pb2.ResponseFormat.TYPE_TEXT
    return Missing(conversation) if is_text and callable_tools(conversation) else None


def whole_fields(text: str) -> Iterator[tuple[str, object]]:
    """Yield the fields of an object that is still coming, as far as they are complete."""
    try:
        at = _after(text, 0, "{")
        while True:
            name, at = _DECODER.raw_decode(text, at)
            value, at = _DECODER.raw_decode(text, _after(text, at, ":"))
            at = _after(text, at, ",}")
            yield str(name), value
    except (ValueError, RecursionError):  # the rest is to come, or is no JSON, which the check of whole calls says
        return


def _after(text: str, at: int, marks: str) -> int:
    """Skip one of the marks, and the spaces around it.

    Raises:
        ValueError: there is none.
    """
    at = _skip_space(text, at)
    if not (at < len(text) and text[at] in marks):
        raise ValueError(at)
    return _skip_space(text, at + 1)


def _skip_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _required(parameters_json: str) -> Iterator[Parameter]:
    """Yield the required parameters of a tool that are free to be said."""
    try:
        schema: Any = read_bounded(parameters_json or "{}")
    except ValueError:
        return
    match schema:
        case {"properties": dict(properties), "required": [*names]}:
            for name in names:
                part = properties.get(name) if isinstance(name, str) else None
                if isinstance(part, Mapping) and is_free(part):
                    yield Parameter(name, str(part.get("description") or ""))


def _texts(conversation: chat_pb2.Conversation) -> Iterator[str]:
    """Yield everything that a conversation says, whoever says it; but not the questions for what was missing."""
    yield "English"  # its language, which some tools ask for
    for turn in conversation.messages:
        yield from (turn.name, turn.content.partition(ASKING)[0], *(call.arguments for call in turn.tool_calls))
    yield from chain.from_iterable((document.title, document.text) for document in conversation.documents)
