"""What becomes of the form that was asked for: its names, and when it is an error."""

import pytest

from protos import chat_pb2 as chat
from protos import expert_pb2 as pb
from serve.errors import AnswerInvalid
from serve.validation.forms import FORM_NAMES, check_answer
from tests.helpers import chat_request

OUTCOMES = chat.FormOutcome.values()


@pytest.mark.parametrize("is_strict", [True, False])
@pytest.mark.parametrize("outcome", OUTCOMES)
def test_a_strict_form_that_was_not_kept_is_an_error_and_nothing_else_is(
    outcome: chat.FormOutcome, is_strict: bool
) -> None:
    form = chat.ResponseFormat(type=chat.ResponseFormat.TYPE_JSON_SCHEMA, strict=is_strict)
    wanted = chat_request(input=chat.Conversation(response_format=form))
    end = pb.Completion(form=outcome)
    if not (is_strict and outcome == chat.FORM_OUTCOME_INVALID):
        check_answer(wanted, end)
        return
    with pytest.raises(AnswerInvalid) as caught:
        check_answer(wanted, end)
    assert ("x-should-retry", "false") in caught.value.headers


@pytest.mark.parametrize(("is_strict", "invalid"), [(True, 1), (True, 0), (False, 1)])
def test_a_call_that_breaks_a_strict_tools_schema_is_an_error(is_strict: bool, invalid: int) -> None:
    tools = [chat.Tool(name="free"), chat.Tool(name="held", strict=is_strict)]
    end = pb.Completion()
    end.tool_calls.invalid_arguments = invalid
    wanted = chat_request(input=chat.Conversation(tools=tools))
    if not (is_strict and invalid):
        check_answer(wanted, end)
        return
    with pytest.raises(AnswerInvalid):
        check_answer(wanted, end)


def test_every_outcome_but_none_has_a_name_of_its_own() -> None:
    assert FORM_NAMES.keys() == set(OUTCOMES) - {chat.FORM_OUTCOME_UNSPECIFIED}
    assert len(set(FORM_NAMES.values())) == len(FORM_NAMES)
