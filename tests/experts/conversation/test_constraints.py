"""What an answer is held to, by what the request asks and the engine can."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from experts.conversation.constraints import MAX_TOOLS_CHARS, constrained, tool_offer
from experts.conversation.tool_calls import CLOSE, OPEN
from experts.engine import Capabilities, InvalidRequest, JsonAnswer, Markup, Sampling, ToolAnswer, UnsupportedFormat
from protos.chat_pb2 import (
    ROLE_ASSISTANT,
    ROLE_TOOL,
    ROLE_USER,
    Conversation,
    Message,
    ResponseFormat,
    Tool,
    ToolCall,
    ToolChoice,
)

ABLE = Capabilities(4, 64, frozenset({"constraint"}))
UNABLE = Capabilities(4, 64, frozenset())
PLAIN = Sampling(max_tokens=9, stop=("END",))
CITY = {"type": "object", "properties": {"city": {"type": "string", "minLength": 1}}, "required": ["city"]}
WEATHER = Tool(name="weather", parameters_json=json.dumps(CITY))
NOW = Tool(name="now")


def ask(**fields: Any) -> Conversation:
    return Conversation(messages=[Message(role=ROLE_USER, content="hi")], **fields)


def held_to(conversation: Conversation, capabilities: Capabilities = ABLE) -> object:
    return constrained(PLAIN, conversation, capabilities).constraint


def test_anything_goes() -> None:
    assert constrained(PLAIN, ask(), ABLE) == PLAIN
    assert constrained(PLAIN, ask(tools=[NOW], tool_choice=ToolChoice(mode=ToolChoice.MODE_NONE)), ABLE) == PLAIN
    assert constrained(PLAIN, ask(tools=[NOW]), UNABLE) == replace(PLAIN, markup=Markup(OPEN, CLOSE))


@pytest.mark.parametrize("tools", [[NOW], []])
def test_who_called_before_and_may_not_now_is_held_to_words(tools: list[Tool]) -> None:
    talk = ask(tools=tools, tool_choice=ToolChoice(mode=ToolChoice.MODE_NONE))
    talk.messages.add(role=ROLE_ASSISTANT, tool_calls=[ToolCall(id="a", name="now", arguments="{}")])
    talk.messages.add(role=ROLE_TOOL, tool_call_id="a", content="12:00")
    words = ToolAnswer((), must_call=False, at_most_one=False)
    assert constrained(PLAIN, talk, ABLE) == replace(PLAIN, constraint=words)
    assert constrained(PLAIN, talk, UNABLE) == PLAIN
    assert tool_offer(talk, is_constrained=True) is None
    talk.response_format.type = ResponseFormat.TYPE_JSON_OBJECT
    assert isinstance(held_to(talk), JsonAnswer)
    talk.ClearField("response_format")
    talk.messages.add(role=ROLE_USER, content="Write a page of HTML")
    assert held_to(talk) is None


def test_a_response_format() -> None:
    assert held_to(ask(response_format=ResponseFormat(type=ResponseFormat.TYPE_JSON_OBJECT))) == JsonAnswer(
        '{"type": "object"}'
    )
    schema = ResponseFormat(type=ResponseFormat.TYPE_JSON_SCHEMA, schema_json=json.dumps(CITY))
    assert held_to(ask(response_format=schema)) == JsonAnswer(json.dumps(CITY))


@pytest.mark.parametrize(
    ("conversation", "words"),
    [
        (ask(response_format=ResponseFormat(type=ResponseFormat.TYPE_JSON_SCHEMA)), "not JSON"),
        (ask(response_format=ResponseFormat(type=ResponseFormat.TYPE_JSON_SCHEMA, schema_json="7")), "not a schema"),
    ],
)
def test_a_response_format_that_cannot_be_kept_to(conversation: Conversation, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        held_to(conversation)
    with pytest.raises(UnsupportedFormat):
        held_to(conversation, UNABLE)


def test_tools() -> None:
    sized_out = json.dumps({**CITY, "properties": {"city": {"type": "string"}}})
    nothing = json.dumps({"type": "object", "additionalProperties": False})
    both = (("weather", sized_out), ("now", nothing))
    assert held_to(ask(tools=[WEATHER, NOW])) == ToolAnswer(both, must_call=False, at_most_one=False)
    required = ask(tools=[WEATHER, NOW], tool_choice=ToolChoice(mode=ToolChoice.MODE_REQUIRED))
    assert held_to(required) == ToolAnswer(both, must_call=True, at_most_one=False)
    named = ask(
        tools=[WEATHER, NOW],
        tool_choice=ToolChoice(mode=ToolChoice.MODE_NAMED, name="now"),
        parallel_tool_calls=False,
    )
    assert held_to(named) == ToolAnswer((("now", nothing),), must_call=True, at_most_one=True)


def test_at_most_one_call_without_a_grammar_ends_at_the_tag() -> None:
    sampling = constrained(PLAIN, ask(tools=[NOW], parallel_tool_calls=False), UNABLE)
    assert (sampling.stop, sampling.constraint) == (("END",), None)
    assert sampling.markup == Markup(OPEN, CLOSE, is_last=True)


@pytest.mark.parametrize(
    "conversation",
    [
        ask(response_format=ResponseFormat(type=ResponseFormat.TYPE_JSON_OBJECT)),
        ask(tools=[NOW], tool_choice=ToolChoice(mode=ToolChoice.MODE_REQUIRED)),
        ask(tools=[NOW], tool_choice=ToolChoice(mode=ToolChoice.MODE_NAMED, name="now")),
    ],
)
def test_stop_strings_do_not_count_where_there_are_no_words(conversation: Conversation) -> None:
    assert constrained(PLAIN, conversation, ABLE).stop == ()


def test_the_gateways_reduction_is_taken_as_it_is() -> None:
    wanted = ResponseFormat(type=ResponseFormat.TYPE_JSON_SCHEMA, schema_json=json.dumps(CITY))
    sampling = constrained(PLAIN, ask(response_format=wanted), ABLE, '{"type": "null"}')
    assert sampling.constraint == JsonAnswer('{"type": "null"}')


ANY, NONE = {"type": "object"}, {"type": "object", "additionalProperties": False}


@pytest.mark.parametrize(
    ("parameters", "reduced"),
    [
        (None, NONE),
        ({}, NONE),
        ({"type": "object", "properties": {}}, NONE),
        ({"type": "object", "properties": {}, "required": []}, NONE),
        ({"type": "object", "properties": {}, "title": "no arguments", "$schema": "x"}, NONE),
        ({"type": "object", "properties": {}, "additionalProperties": False}, NONE),
        ({"type": "object"}, ANY),
        ({"type": "object", "description": "anything"}, ANY),
        ({"type": "object", "additionalProperties": True}, ANY),
        ({"type": "object", "properties": {}, "additionalProperties": True}, ANY),
        (
            {"type": "object", "properties": {}, "additionalProperties": {"type": "null"}},
            {**ANY, "additionalProperties": {"type": "null"}},
        ),
        (
            {"type": "object", "properties": {"a\u00a0b": {"type": "null"}}},
            {**ANY, "properties": {"a\u00a0b": {"type": "null"}}, "required": []},
        ),
        ({"$ref": "#/$defs/x", "$defs": {"x": NONE}}, NONE),
    ],
)
def test_what_the_arguments_of_a_tool_may_be(parameters: object, reduced: object) -> None:
    tool = Tool(name="t", parameters_json="" if parameters is None else json.dumps(parameters))
    offer = tool_offer(ask(tools=[tool]), is_constrained=False)
    assert offer is not None
    assert offer.schemas == {"t": reduced}


def test_a_choice_between_objects_is_kept_and_lengths_are_left_to_the_check() -> None:
    part = {
        "type": "object",
        "properties": {"a": {"type": "array", "prefixItems": [{"type": "string", "maxLength": 3}]}},
    }
    tool = Tool(name="t", parameters_json=json.dumps({"anyOf": [part, {"type": "object", "required": ["b"]}]}))
    constraint = held_to(ask(tools=[tool]))
    assert isinstance(constraint, ToolAnswer)
    [(_, schema)] = constraint.tools
    assert "maxLength" not in schema and '"anyOf"' in schema and '"prefixItems"' in schema


@pytest.mark.parametrize("parameters", ["{", "[]", '{"type": "string"}', '{"anyOf": [{}]}', '"' + "x" * 70_000 + '"'])
def test_parameters_that_are_no_schema_leave_any_object(parameters: str) -> None:
    offer = tool_offer(ask(tools=[Tool(name="t", parameters_json=parameters)]), is_constrained=False)
    assert offer is not None
    assert offer.schemas == {"t": {"type": "object"}}


def test_many_large_tools_are_held_to_objects_at_least() -> None:
    large = json.dumps({"type": "object", "properties": {f"property_{n}": {"type": "string"} for n in range(60)}})
    constraint = held_to(ask(tools=[Tool(name=f"t{n}", parameters_json=large) for n in range(128)]))
    assert isinstance(constraint, ToolAnswer)
    assert sum(len(schema) for _, schema in constraint.tools) < MAX_TOOLS_CHARS + 128 * 20
    assert constraint.tools[-1] == ("t127", '{"type": "object"}')
    assert "property_0" in constraint.tools[0][1]


def test_the_work_that_the_tools_of_one_request_make_is_bounded() -> None:
    wide = {name: {"anyOf": [{"type": "null"}, {"$ref": "#"}]} for name in "abcdefgh"}
    tools = [
        Tool(name=f"t{n}", parameters_json=json.dumps({"type": "object", "title": f"{n}", "properties": wide}))
        for n in range(128)
    ]
    tools.append(Tool(name="held", parameters_json=WEATHER.parameters_json, strict=True))
    offer = tool_offer(ask(tools=tools), is_constrained=False)
    assert offer is not None
    spelt_out = [name for name, schema in offer.schemas.items() if schema != {"type": "object"}]
    assert 1 < len(spelt_out) < 64
    assert spelt_out[-1] == "held"


def test_only_what_may_be_called_is_offered() -> None:
    assert tool_offer(ask(), is_constrained=False) is None
    assert tool_offer(ask(tools=[NOW], tool_choice=ToolChoice(mode=ToolChoice.MODE_NONE)), is_constrained=False) is None
    named = ask(tools=[WEATHER, NOW], tool_choice=ToolChoice(mode=ToolChoice.MODE_NAMED, name="now"))
    offer = tool_offer(named, is_constrained=True)
    assert offer is not None
    assert (list(offer.schemas), offer.is_constrained, offer.at_most_one) == (["now"], True, False)


def test_beside_tools_a_form_is_for_answers_that_call_none() -> None:
    any_object = ResponseFormat(type=ResponseFormat.TYPE_JSON_OBJECT)
    both = held_to(ask(response_format=any_object, tools=[NOW]))
    assert isinstance(both, ToolAnswer)
    assert (both.form, both.must_call) == ('{"type": "object"}', False)
    must = held_to(ask(response_format=any_object, tools=[NOW], tool_choice=ToolChoice(mode=ToolChoice.MODE_REQUIRED)))
    assert isinstance(must, ToolAnswer)
    assert (must.form, must.must_call) == (None, True)
    none = held_to(ask(response_format=any_object, tools=[NOW], tool_choice=ToolChoice(mode=ToolChoice.MODE_NONE)))
    assert none == JsonAnswer('{"type": "object"}')
    sampling = constrained(Sampling(9, stop=("x",)), ask(response_format=any_object, tools=[NOW]), ABLE)
    assert (sampling.stop, sampling.markup) == ((), None)
