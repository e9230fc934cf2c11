"""An error names its field as the client wrote it."""

import pytest

from serve.doors.field_names import SAME_NAMES, FieldNames
from serve.errors import InvalidRequest, RateLimited

NAMES = FieldNames(
    places={
        "messages": ["instructions", "input[0]"],
        "documents": ["documents[0]"],
        "tools": ["tools[1]", "tools[4]"],
    },
    words={"function": "", "parameters": "input_schema", "messages": "input", "response_format": "text.format"},
    inside={"tool_call_id": "call_id"},
)


@pytest.mark.parametrize(
    ("core", "theirs"),
    [
        ("messages[0].content", "instructions"),
        ("messages[1].tool_calls[0].function.arguments", "input[0]"),
        ("messages[1].tool_call_id", "input[0].call_id"),
        ("messages[7]", "input[7]"),
        ("tools[1]", "tools[4]"),
        ("tools[1].function.name", "tools[4].name"),
        ("messages", "input"),
        ("documents[0].text", "documents[0]"),
        ("tools[3].function.parameters", "tools[3].input_schema"),
        ("response_format", "text.format"),
        ("temperature", "temperature"),
        ("x-request-timeout-ms", "x-request-timeout-ms"),
    ],
)
def test_a_field_is_named_in_the_clients_words(core: str, theirs: str) -> None:
    error = InvalidRequest(f"'{core}' must not be empty", param=core)
    told = NAMES.told(error)
    assert (told.param, told.message) == (theirs, f"'{theirs}' must not be empty")
    assert type(told) is InvalidRequest
    assert error.param == core


def test_all_else_of_an_error_stays() -> None:
    error = RateLimited("too many 'messages'", param="messages", retry_after_s=7, headers=(("a", "b"),))
    told = NAMES.told(error)
    assert (told.param, told.retry_after_s, told.headers) == ("input", 7, error.headers)


def test_an_error_of_no_field_and_names_that_are_the_same_are_left_alone() -> None:
    error = InvalidRequest("no", param=None)
    assert NAMES.told(error) is error
    named = InvalidRequest("no", param="messages[0].content")
    assert SAME_NAMES.told(named) is named
