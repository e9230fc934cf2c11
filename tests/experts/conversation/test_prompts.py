"""Conversations off the wire become the turns that a chat template knows."""

import json

import pytest

from experts.conversation.prompts import render_turns
from experts.engine import InvalidRequest, Turn
from protos.chat_pb2 import (
    ROLE_ASSISTANT,
    ROLE_SYSTEM,
    ROLE_TOOL,
    ROLE_USER,
    Conversation,
    Document,
    Message,
    ResponseFormat,
    Tool,
    ToolCall,
    ToolChoice,
)

USER = Message(role=ROLE_USER, content="Weather in Oslo?")
WEATHER = Tool(name="weather", description="Looks outside.", parameters_json='{"type": "object"}')
TIME = Tool(name="time")


def test_the_experts_system_prompt_comes_first() -> None:
    assert render_turns(Conversation(messages=[USER]), "Be brief.") == (
        Turn("system", "Be brief."),
        Turn("user", "Weather in Oslo?"),
    )


def test_the_clients_system_message_replaces_it() -> None:
    mine = Message(role=ROLE_SYSTEM, content="Be long.")
    assert render_turns(Conversation(messages=[mine, USER]), "Be brief.")[0] == Turn("system", "Be long.")


def test_an_empty_system_prompt_is_none() -> None:
    """Front ends send one where their user has set nothing; the expert keeps its own."""
    empty = Message(role=ROLE_SYSTEM, content="")
    assert render_turns(Conversation(messages=[empty, USER]), "Be brief.")[0] == Turn("system", "Be brief.")
    assert render_turns(Conversation(messages=[empty, USER]), "") == (Turn("user", "Weather in Oslo?"),)


def test_without_any_system_prompt_there_is_no_system_turn() -> None:
    assert render_turns(Conversation(messages=[USER]), "") == (Turn("user", "Weather in Oslo?"),)


def test_tools_join_the_system_turn() -> None:
    system = render_turns(Conversation(messages=[USER], tools=[WEATHER, TIME]), "Be brief.")[0]
    assert system.role == "system"
    assert system.content.startswith("Be brief.\n\nYou can call these tools:\n")
    assert "<tool>\n// Looks outside.\nweather(...)\n</tool>\n<tool>\ntime()\n</tool>" in system.content
    assert "must" not in system.content


@pytest.mark.parametrize(
    ("choice", "there", "missing"),
    [
        (ToolChoice(mode=ToolChoice.MODE_NONE), "Be brief.", "weather"),
        (ToolChoice(mode=ToolChoice.MODE_AUTO), "weather", "must"),
        (ToolChoice(mode=ToolChoice.MODE_REQUIRED), "You must call at least one of them.", "must call weather"),
        (ToolChoice(mode=ToolChoice.MODE_NAMED, name="weather"), "You must call weather.", "time()"),
    ],
)
def test_tool_choice_is_obeyed(choice: ToolChoice, there: str, missing: str) -> None:
    conversation = Conversation(messages=[USER], tools=[WEATHER, TIME], tool_choice=choice)
    system = render_turns(conversation, "Be brief.")[0].content
    assert there in system
    assert missing not in system


def test_calls_and_results_become_text() -> None:
    call = Message(
        role=ROLE_ASSISTANT,
        content="Looking.",
        tool_calls=[
            ToolCall(id="1", name="weather", arguments='{"city": "Oslo"}'),
            ToolCall(id="2", name="time", arguments="{broken"),
        ],
    )
    results = [
        Message(role=ROLE_TOOL, tool_call_id="1", content="rain"),
        Message(role=ROLE_TOOL, tool_call_id="2", content="noon"),
    ]
    turns = render_turns(Conversation(messages=[USER, call, *results, USER]), "")
    assert [turn.role for turn in turns] == ["user", "assistant", "user", "user"]
    assert turns[1].content == (
        "Looking.\n"
        '<tool_call>{"name": "weather", "arguments": {"city": "Oslo"}}</tool_call>\n'
        '<tool_call>{"name": "time", "arguments": "{broken"}</tool_call>'
    )
    assert turns[2].content == (
        '<tool_response>{"name": "weather", "content": "rain"}</tool_response>\n'
        '<tool_response>{"name": "time", "content": "noon"}</tool_response>'
    )


def test_a_participants_name_is_said() -> None:
    named = Message(role=ROLE_USER, name="Ada", content="Hello")
    assert render_turns(Conversation(messages=[named]), "") == (Turn("user", "Ada: Hello"),)


def test_documents_stand_numbered_before_the_last_user_message() -> None:
    documents = [
        Document(title="Rain", text="It rains\n\n  in May.\r\nA lot.", url="https://rain.example"),
        Document(text="Snow falls."),
    ]
    call = Message(role=ROLE_ASSISTANT, tool_calls=[ToolCall(id="1", name="weather", arguments="{}")])
    result = Message(role=ROLE_TOOL, tool_call_id="1", content="rain")
    asked = Message(role=ROLE_USER, content="When?\nAnd where?", name="Ada")
    conversation = Conversation(messages=[USER, asked, call, result], documents=documents)
    turns = render_turns(conversation, "")
    assert turns[0] == Turn("user", "Weather in Oslo?")
    assert turns[1].content == (
        "Document [1](Title: Rain): It rains in May. A lot.\nDocument [2]: Snow falls.\n\nAda: When?\nAnd where?"
    )
    assert asked == conversation.messages[1], "the caller's message is left as it was"


@pytest.mark.parametrize(
    ("conversation", "words"),
    [
        (Conversation(), "no message"),
        (
            Conversation(messages=[Message(role=ROLE_SYSTEM, content="hi")], documents=[Document(text="x")]),
            "need a user message",
        ),
        (Conversation(messages=[Message(content="hi")]), "no role"),
        (Conversation(messages=[USER], tools=[Tool(name="t", parameters_json="{")]), "not JSON"),
    ],
)
def test_unusable_conversations_are_refused(conversation: Conversation, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        render_turns(conversation, "")


def test_the_form_of_the_answer_is_told() -> None:
    plain = Conversation(messages=[USER], response_format=ResponseFormat(type=ResponseFormat.TYPE_JSON_OBJECT))
    assert render_turns(plain, "Be brief.")[0].content == "Be brief.\n\nAnswer with a JSON object."


AGE = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer", "description": "In years"}},
    "required": ["name"],
}


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        (json.dumps(AGE), "{\nname: string\nage?: integer // In years\n}"),
        (json.dumps({"type": "array", "items": AGE}), "{name: string, age?: integer // In years}[]"),
        (json.dumps({"enum": ["good", "bad"]}), '"good" | "bad"'),
        (json.dumps({"type": "object"}), "object"),
        (json.dumps({"properties": {"a": {"properties": {"b": {"const": 1}}}}}), "{\na?: {b?: 1}\n}"),
        ('{"$ref": "#/$defs/A", "$defs": {"A": true}}', '{"$ref": "#/$defs/A", "$defs": {"A": true}}'),
        ("{", "{"),
        ("[" * 100_000, "[" * 100_000),
    ],
)
def test_a_schema_is_told_in_the_manner_of_tools(schema: str, told: str) -> None:
    wanted = ResponseFormat(type=ResponseFormat.TYPE_JSON_SCHEMA, schema_json=schema)
    system = render_turns(Conversation(messages=[USER], response_format=wanted), "")[0].content
    assert system.split("\n", 1)[1] == told


def test_what_is_to_be_done_with_documents_is_told_where_there_are_some() -> None:
    mine = Message(role=ROLE_SYSTEM, content="Be long.")
    for messages, told in (([USER], "Be brief. Cite."), ([mine, USER], "Be long. Cite.")):
        with_one = Conversation(messages=messages, documents=[Document(text="x")])
        assert render_turns(with_one, "Be brief.", documents_prompt="Cite.")[0] == Turn("system", told)
    assert render_turns(Conversation(messages=[USER]), "Be brief.", documents_prompt="Cite.")[0].content == "Be brief."


def test_of_many_documents_the_nearest_are_shown_under_their_own_numbers() -> None:
    documents = [Document(text=f"The {thing} is here.") for thing in ("anchor", "bell", "candle", "drum")]
    asked = Message(role=ROLE_USER, content="Where are the drum and the bell?")
    conversation = Conversation(messages=[asked], documents=documents)
    lines = "Document [2]: The bell is here.\nDocument [4]: The drum is here."
    assert render_turns(conversation, "", 2) == (Turn("user", f"{lines}\n\n{asked.content}"),)
    assert render_turns(conversation, "")[0].content.count("Document [") == 4
    assert render_turns(conversation, "", 9)[0].content.count("Document [") == 4
