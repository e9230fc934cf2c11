"""Outcomes of the form that a request asked for: their names, and when one is an error.

The expert's replica checks the whole answer and reports the verdict at its end (`experts.conversation.structured`). A
strict form is a promise: an answer that breaks it is never returned as a valid one.
"""

from typing import Final

from protos import chat_pb2 as chat
from protos import expert_pb2 as pb
from serve.errors import AnswerInvalid

FORM_NAMES: Final = {
    chat.FORM_OUTCOME_OK: "ok",
    chat.FORM_OUTCOME_SECOND_ATTEMPT: "second_attempt",
    chat.FORM_OUTCOME_INVALID: "invalid",
    chat.FORM_OUTCOME_CUT: "cut",
}
"""As the metric's label, the header and the log have them."""


def check_form(wanted: chat.ResponseFormat, end: pb.Completion) -> None:
    """Check that a strict form was kept. One that `max_tokens` cut off says so by its finish reason.

    Raises:
        AnswerInvalid: it was not.
    """
    if wanted.strict and end.form == chat.FORM_OUTCOME_INVALID:
        # The same request would most likely end the same way: the official SDKs need not try it three times.
        raise AnswerInvalid("the answer does not follow the schema", headers=(("x-should-retry", "false"),))
