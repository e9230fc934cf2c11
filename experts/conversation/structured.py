"""Checks whether a whole answer has the form that was asked for.

The engine's grammar keeps an answer to its form token by token, as far as a grammar can. This check shares no code with
it and decides. `experts.conversation.answer` reports the verdict at the end of the answer.
`experts.conversation.attempts` makes an answer once more if it breaks a strict form.
"""

from __future__ import annotations

from experts.conversation.json_repair import has_twin_keys, read_json
from experts.conversation.tool_calls import OPEN
from experts.engine import FinishReason
from experts.json_schema.conformance import Schema, conforms
from protos import chat_pb2


class FormReader:
    """Collects one answer and judges it."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._pieces: list[str] = []

    def push(self, text: str) -> None:
        """Take more text."""
        self._pieces.append(text)

    def close(self, finish: FinishReason, attempts: int = 1) -> chat_pb2.FormOutcome.ValueType:
        """Judge the whole; an answer that ended for want of tokens and is complete all the same is no cut one."""
        if follows("".join(self._pieces), self._schema):
            return chat_pb2.FORM_OUTCOME_OK if attempts == 1 else chat_pb2.FORM_OUTCOME_SECOND_ATTEMPT
        is_cut = finish is FinishReason.LENGTH and attempts == 1
        return chat_pb2.FORM_OUTCOME_CUT if is_cut else chat_pb2.FORM_OUTCOME_INVALID


def keeps_form(text: str, schema: Schema, *, may_call: bool) -> bool:
    """Say whether a whole answer is a call, where one may come, or follows the schema; calls have their own check."""
    return (may_call and text.startswith(OPEN)) or follows(text, schema)


def follows(text: str, schema: Schema) -> bool:
    """Say whether a text is JSON, with no key twice in an object, that follows a reduced schema."""
    try:
        return conforms(read_json(text), schema) and not has_twin_keys(text)
    except ValueError:
        return False
