"""Outcomes of the form that a request asked for: their names, and when one is an error.

The expert's replica checks the whole answer and reports the verdict at its end (`experts.conversation.structured`). A
strict form is a promise: an answer that breaks it is never returned as a valid one.
"""

from typing import Final

from protos import chat_pb2 as chat
from protos import expert_pb2 as pb
from serve.errors import AnswerInvalid
from serve.request import ChatRequest

FORM_NAMES: Final = {
    chat.FORM_OUTCOME_OK: "ok",
    chat.FORM_OUTCOME_SECOND_ATTEMPT: "second_attempt",
    chat.FORM_OUTCOME_INVALID: "invalid",
    chat.FORM_OUTCOME_CUT: "cut",
}
"""As the metric's label, the header and the log have them."""


_NO_RETRY: Final = (("x-should-retry", "false"),)
"""The same request would most likely end the same way: the official SDKs need not try it three times."""


def check_answer(request: ChatRequest, end: pb.Completion) -> None:
    """Check that a strict form, and the schemas of strict tools, were kept.

    A form that `max_tokens` cut off says so by its finish reason. Where one tool is strict, any call with arguments
    that break their schema counts: the expert tells how many there were, not whose.

    Raises:
        AnswerInvalid: they were not.
    """
    if end.form == chat.FORM_OUTCOME_INVALID and request.response_format.strict:
        raise AnswerInvalid("the answer does not follow the schema", headers=_NO_RETRY)
    if end.tool_calls.invalid_arguments and request.has_strict_tools:
        raise AnswerInvalid("a tool call does not follow its strict schema", headers=_NO_RETRY)
