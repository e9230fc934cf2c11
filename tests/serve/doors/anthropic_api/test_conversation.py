"""A Messages body in the core's words, and the way back from the core's names to the client's."""

import json
from typing import Any

import pytest

from protos import chat_pb2 as chat
from serve.doors.anthropic_api.bodies import MessagesBody
from serve.doors.anthropic_api.conversation import Translation, translate
from serve.doors.json_body import parse
from serve.errors import InvalidRequest
from tests.serve.doors.anthropic_api.asking import TOOL, USER, body_of

SYSTEM, USER_ROLE, ASSISTANT, TOOL_ROLE = (
    chat.ROLE_SYSTEM,
    chat.ROLE_USER,
    chat.ROLE_ASSISTANT,
    chat.ROLE_TOOL,
)
CALL = {"type": "tool_use", "id": "c1", "name": "add", "input": {"a": 1}}


def translated(**fields: Any) -> tuple[chat.Conversation, Translation]:
    return translate(parse(MessagesBody, json.dumps(body_of(**fields)).encode()))


def said(conversation: chat.Conversation) -> list[tuple[int, str]]:
    return [(message.role, message.content) for message in conversation.messages]


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def result(content: Any = None, **fields: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": "c1", "content": content, **fields}


def test_system_and_turns() -> None:
    conversation, _ = translated(
        system=[text("Be brief."), text("Be kind.")],
        messages=[
            {"role": "user", "content": [text("one"), text("two")]},
            {"role": "assistant", "content": [text("a"), text("b")]},
            USER,
        ],
    )
    assert said(conversation) == [
        (SYSTEM, "Be brief.\nBe kind."),
        (USER_ROLE, "one\ntwo"),
        (ASSISTANT, "ab"),
        (USER_ROLE, "hello"),
    ]


def test_no_system_is_no_message() -> None:
    assert said(translated(system="")[0]) == [(USER_ROLE, "hello")]


@pytest.mark.parametrize(
    ("block", "content"),
    [
        (result(), ""),
        (result(""), ""),
        (result([]), ""),
        (result("3"), "3"),
        (result([text("3"), text("4")]), "3\n4"),
        (result([{"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "d"}}]), "d"),
        (result("no", is_error=True), "Error: no"),
        (result(is_error=True), "Error: "),
    ],
)
def test_a_tools_result_is_a_message_of_its_own(block: dict[str, Any], content: str) -> None:
    turns = [USER, {"role": "assistant", "content": [text("I add."), CALL]}, {"role": "user", "content": [block]}]
    conversation, _ = translated(messages=turns)
    assert said(conversation)[1:] == [(ASSISTANT, "I add."), (TOOL_ROLE, content)]
    [call] = conversation.messages[1].tool_calls
    assert (call.id, call.name, call.arguments) == ("c1", "add", '{"a":1}')
    assert conversation.messages[2].tool_call_id == "c1"


def test_words_around_results_keep_their_places() -> None:
    turns = [{"role": "user", "content": [text("before"), result("1"), result("2"), text("after")]}]
    conversation, translation = translated(system="s", messages=turns)
    assert said(conversation) == [
        (SYSTEM, "s"),
        (USER_ROLE, "before"),
        (TOOL_ROLE, "1"),
        (TOOL_ROLE, "2"),
        (USER_ROLE, "after"),
    ]
    assert translation.message_places == [
        "system",
        "messages[0].content",
        "messages[0].content[1]",
        "messages[0].content[2]",
        "messages[0].content",
    ]


def test_thinking_of_earlier_turns_is_left_out() -> None:
    thought = {"type": "thinking", "thinking": "hm", "signature": "s"}
    conversation, _ = translated(messages=[USER, {"role": "assistant", "content": [thought, text("a")]}, USER])
    assert said(conversation)[1] == (ASSISTANT, "a")


@pytest.mark.parametrize(("enabled", "cites"), [(True, True), (False, False)])
def test_documents_of_the_turns_come_first_and_are_numbered(enabled: bool, cites: bool) -> None:
    plain = {"type": "text", "media_type": "text/plain", "data": "Mars is red."}
    document = {"type": "document", "source": plain, "title": "Mars", "citations": {"enabled": enabled}}
    blocks = {"type": "document", "source": {"type": "content", "content": [text("a"), text("b")]}, "context": "c"}
    turns = [{"role": "user", "content": [document, blocks, text("What colour?")]}]
    conversation, translation = translated(messages=turns)
    assert [(d.title, d.text) for d in conversation.documents] == [("Mars", "Mars is red."), ("", "c\n\na\nb")]
    assert translation.document_places == ["messages[0].content[0].source", "messages[0].content[1].source"]
    assert translation.cites is cites
    assert said(conversation) == [(USER_ROLE, "What colour?")]


def test_documents_of_moegates_own_are_cited() -> None:
    conversation, translation = translated(documents=["Mars is red."])
    assert [d.text for d in conversation.documents] == ["Mars is red."]
    assert translation.cites


def test_a_turn_of_documents_alone_is_a_turn() -> None:
    plain = {"type": "text", "media_type": "text/plain", "data": "Mars is red."}
    conversation, _ = translated(messages=[{"role": "user", "content": [{"type": "document", "source": plain}]}])
    assert said(conversation) == [(USER_ROLE, "")]


@pytest.mark.parametrize(
    ("choice", "mode", "name"),
    [
        ({"type": "auto"}, chat.ToolChoice.MODE_AUTO, ""),
        ({"type": "any"}, chat.ToolChoice.MODE_REQUIRED, ""),
        ({"type": "tool", "name": "add"}, chat.ToolChoice.MODE_NAMED, "add"),
        ({"type": "none"}, chat.ToolChoice.MODE_NONE, ""),
    ],
)
def test_tools_and_their_choice(choice: dict[str, Any], mode: int, name: str) -> None:
    conversation, _ = translated(tools=[{**TOOL, "strict": True}], tool_choice=choice)
    [tool] = conversation.tools
    assert (tool.name, tool.description, tool.parameters_json, tool.strict) == (
        "add",
        "adds",
        '{"type":"object"}',
        True,
    )
    assert (conversation.tool_choice.mode, conversation.tool_choice.name) == (mode, name)
    assert not conversation.HasField("parallel_tool_calls")


@pytest.mark.parametrize("disabled", [True, False])
def test_parallel_calls(disabled: bool) -> None:
    conversation, _ = translated(tools=[TOOL], tool_choice={"type": "auto", "disable_parallel_tool_use": disabled})
    assert conversation.parallel_tool_calls is not disabled


def test_a_choice_without_its_tool() -> None:
    with pytest.raises(InvalidRequest) as refused:
        translated(tools=[TOOL], tool_choice={"type": "tool"})
    assert refused.value.param == "tool_choice.name"


def test_a_schema_for_the_answer_is_strict() -> None:
    conversation, _ = translated(output_config={"format": {"type": "json_schema", "schema": {"type": "object"}}})
    wanted = conversation.response_format
    assert (wanted.type, wanted.strict) == (chat.ResponseFormat.TYPE_JSON_SCHEMA, True)
    assert wanted.schema_json == '{"type":"object"}'


@pytest.mark.parametrize(
    ("core", "theirs"),
    [
        ("tools[0].function.name", "tools[0].name"),
        ("tools[0].function.parameters", "tools[0].input_schema"),
        ("stop", "stop_sequences"),
        ("response_format", "output_config.format"),
        ("messages[0].content", "messages[0].content"),
    ],
)
def test_an_error_names_the_clients_field(core: str, theirs: str) -> None:
    assert translated()[1].names.told(InvalidRequest(f"'{core}' no", param=core)).param == theirs


def test_a_tool_behind_a_set_of_tools_is_named_by_its_own_place() -> None:
    _, translation = translated(tools=[{"type": "toolset", "name": "crm"}, TOOL])
    told = translation.names.told(InvalidRequest("no", param="tools[0].function.parameters"))
    assert told.param == "tools[1].input_schema"
