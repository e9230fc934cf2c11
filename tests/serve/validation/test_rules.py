"""The rules of both doors, one by one: what is refused, and the field that the refusal names."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experts.conversation.request_limits import MAX_DOCUMENTS, MAX_MESSAGES, MAX_STOP_CHARS, MAX_STOPS, MAX_TOOLS
from protos import chat_pb2 as chat
from serve.errors import InvalidRequest, MoegateError
from serve.validation.rules import validate
from tests.helpers import chat_request

USER = chat.Message(role=chat.ROLE_USER, content="Hello")
TOOL = chat.Tool(name="look_up", parameters_json='{"type": "object"}')
CALL = chat.ToolCall(id="1", name="look_up", arguments="{}")
Mode, Format = chat.ToolChoice, chat.ResponseFormat


def refused(conversation: chat.Conversation | str, sampling: chat.Sampling | None = None) -> MoegateError:
    with pytest.raises(MoegateError) as caught:
        validate(chat_request(input=conversation, sampling=sampling or chat.Sampling()), max_tokens_limit=100)
    return caught.value


def talk(*messages: chat.Message, **fields: Any) -> chat.Conversation:
    return chat.Conversation(messages=messages or (USER,), **fields)


@pytest.mark.parametrize(
    ("conversation", "param"),
    [
        (chat.Conversation(), "messages"),
        (talk(*[USER] * (MAX_MESSAGES + 1)), "messages"),
        (talk(USER, chat.Message(content="x")), "messages[1].role"),
        (talk(USER, chat.Message(role=99, content="x")), "messages[1].role"),  # type: ignore[arg-type]  # as gRPC allows
        (talk(chat.Message(role=chat.ROLE_USER, content="x", tool_calls=[CALL])), "messages[0].tool_calls"),
        (talk(USER, chat.Message(role=chat.ROLE_TOOL, content="x")), "messages[1].tool_call_id"),
        (talk(chat.Message(role=chat.ROLE_USER)), "messages[0].content"),
        (talk(*[chat.Message(role=chat.ROLE_SYSTEM)] * 3), "messages[2].content"),
        (talk(tools=[TOOL] * (MAX_TOOLS + 1)), "tools"),
        (talk(tools=[TOOL, chat.Tool(name="")]), "tools[1].function.name"),
        (talk(tools=[chat.Tool(name="look up")]), "tools[0].function.name"),
        (talk(tools=[chat.Tool(name="look_up\n")]), "tools[0].function.name"),
        (talk(tools=[chat.Tool(name="n" * 65)]), "tools[0].function.name"),
        (talk(tools=[chat.Tool(name="n", parameters_json="[]")]), "tools[0].function.parameters"),
        (talk(tools=[chat.Tool(name="n", parameters_json="{")]), "tools[0].function.parameters"),
        (talk(tool_choice=Mode(mode=Mode.MODE_REQUIRED)), "tool_choice"),
        (talk(tools=[TOOL], tool_choice=Mode(mode=Mode.MODE_NAMED, name="other")), "tool_choice"),
        (talk(tools=[TOOL], tool_choice=Mode(mode=99)), "tool_choice.mode"),  # type: ignore[arg-type]  # likewise
        (talk(documents=[chat.Document(text="x")] * (MAX_DOCUMENTS + 1)), "documents"),
        (talk(documents=[chat.Document(text="x"), chat.Document(text=" \n")]), "documents[1].text"),
        (
            talk(chat.Message(role=chat.ROLE_SYSTEM, content="x"), documents=[chat.Document(text="x")]),
            "documents",
        ),
        (talk(response_format=Format(type=99)), "response_format.type"),  # type: ignore[arg-type]  # likewise
        (talk(response_format=Format(type=Format.TYPE_JSON_SCHEMA, schema_json="{")), "response_format"),
        ("", "prompt"),
    ],
)
def test_a_request_that_breaks_a_rule_is_refused_by_its_field(
    conversation: chat.Conversation | str, param: str
) -> None:
    error = refused(conversation)
    assert (error.param, type(error)) == (param, InvalidRequest)
    assert f"'{param}" in error.message


@pytest.mark.parametrize("mode", [Mode.MODE_NONE, Mode.MODE_AUTO, Mode.MODE_REQUIRED])
def test_a_form_may_stand_beside_tools(mode: Mode.Mode) -> None:
    form = Format(type=Format.TYPE_JSON_OBJECT)
    asked = talk(tools=[TOOL], tool_choice=Mode(mode=mode), response_format=form)
    validate(chat_request(input=asked), max_tokens_limit=100)


@pytest.mark.parametrize(
    ("sampling", "param"),
    [
        (chat.Sampling(temperature=2.01), "temperature"),
        (chat.Sampling(temperature=float("nan")), "temperature"),
        (chat.Sampling(top_p=-0.01), "top_p"),
        (chat.Sampling(frequency_penalty=-2.5), "frequency_penalty"),
        (chat.Sampling(presence_penalty=float("inf")), "presence_penalty"),
        (chat.Sampling(max_tokens=0), "max_tokens"),
        (chat.Sampling(max_tokens=101), "max_tokens"),
        (chat.Sampling(stop=["x"] * (MAX_STOPS + 1)), "stop"),
        (chat.Sampling(stop=["x", ""]), "stop"),
        (chat.Sampling(stop=["x" * (MAX_STOP_CHARS + 1)]), "stop"),
    ],
)
def test_a_setting_beyond_its_range_is_named(sampling: chat.Sampling, param: str) -> None:
    assert refused(talk(), sampling).param == param
    assert refused("raw text", sampling).param == param


@pytest.mark.parametrize(
    "sampling",
    [
        chat.Sampling(),
        chat.Sampling(temperature=0, top_p=1, frequency_penalty=-2, presence_penalty=2, max_tokens=100),
        chat.Sampling(max_tokens=1, stop=["x" * MAX_STOP_CHARS] * MAX_STOPS),
    ],
)
def test_the_ends_of_every_range_are_inside(sampling: chat.Sampling) -> None:
    validate(chat_request(sampling=sampling), max_tokens_limit=100)


FITTING = talk(
    chat.Message(role=chat.ROLE_SYSTEM, content="Be brief"),
    USER,
    chat.Message(role=chat.ROLE_ASSISTANT, tool_calls=[chat.ToolCall(id="1", name="look_up", arguments="not JSON")]),
    chat.Message(role=chat.ROLE_TOOL, tool_call_id="1", content=""),
    tools=[TOOL, chat.Tool(name="a.b-c_9")],
    tool_choice=Mode(mode=Mode.MODE_NAMED, name="look_up"),
    documents=[chat.Document(text="x")],
)


def test_what_keeps_to_the_rules_passes() -> None:
    validate(chat_request(input=FITTING), max_tokens_limit=100)


@given(st.integers(0, MAX_TOOLS - 1), st.sampled_from(["", "no name", "näme", "a/b", "n" * 65]))
def test_one_wrong_tool_among_many_right_ones_is_found(at: int, name: str) -> None:
    tools = [chat.Tool(name=f"tool{number}") for number in range(MAX_TOOLS)]
    tools[at].name = name
    assert refused(talk(tools=tools)).param == f"tools[{at}].function.name"


@given(st.text())
def test_the_refusal_never_quotes_the_words(text: str) -> None:
    told = refused(talk(chat.Message(role=chat.ROLE_USER, content=f"secret {text}", tool_calls=[CALL]))).message
    assert "secret" not in told
