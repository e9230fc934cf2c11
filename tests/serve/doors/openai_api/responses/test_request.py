"""The body of a request for a response: what is taken, what is refused by name, what it is in the core's words."""

import json
from typing import Any

import pytest

from protos import chat_pb2 as chat
from serve.doors.json_body import parse
from serve.doors.openai_api.responses.request import ResponsesBody
from serve.errors import InvalidRequest, UnsupportedParameter

FUNCTION = {"type": "function", "name": "add", "description": "adds", "parameters": {"type": "object"}}
RESULT = {"type": "function_call_output", "call_id": "c", "output": ""}
SCHEMA = {"type": "json_schema", "name": "s", "schema": {"type": "object"}, "strict": True}


def read(**fields: Any) -> ResponsesBody:
    return parse(ResponsesBody, json.dumps({"input": "hello", **fields}).encode())


@pytest.mark.parametrize(
    "fields",
    [
        dict.fromkeys(set(ResponsesBody.model_fields) - {"input"}),
        {"input": [{"role": "user", "content": "a"}, {"type": "reasoning", "id": "rs_1", "summary": []}]},
        {"tools": [{**FUNCTION, "strict": None, "defer_loading": False}], "tool_choice": "auto"},
        {"text": {"verbosity": "low"}, "reasoning": {"effort": "low"}, "include": ["reasoning.encrypted_content"]},
        {"background": False, "truncation": "disabled", "top_logprobs": 0, "context_management": []},
        {"metadata": {"a": "b"}, "user": "ada", "service_tier": "auto", "prompt_cache_key": "k", "max_tool_calls": 3},
        {"documents": ["Mars is red."], "quality_cost": 0.5, "ttft_target_ms": 100},
    ],
)
def test_what_clients_send_is_taken(fields: dict[str, Any]) -> None:
    read(**fields)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": 7}, "input"),
        ({"input": ["words"]}, "input[0]"),
        ({"input": [{"role": "poet", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}, "input[0].content[0].text"),
        ({"input": [{"type": "function_call", "call_id": "c", "name": "f"}]}, "input[0].arguments"),
        ({"input": [{"type": "function_call_output", "call_id": "c"}]}, "input[0].output"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tool_choice": "sometimes"}, "tool_choice"),
        ({"tool_choice": {"type": "function"}}, "tool_choice.name"),
        ({"text": {"format": {"type": "json_schema"}}}, "text.format.schema"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"temperature": "0.5"}, "temperature"),
        ({"stream": "yes"}, "stream"),
        ({"metadata": {"a": {"b": "c"}}}, "metadata.a"),
        ({"metadata": {f"k{i}": "v" for i in range(17)}}, "metadata"),
    ],
)
def test_a_mistake_is_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read(**fields)
    assert not isinstance(refused.value, UnsupportedParameter)
    assert refused.value.param == param


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"surprise": 1}, "surprise"),
        ({"n": 1}, "n"),
        ({"seed": 1}, "seed"),
        ({"background": True}, "background"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"truncation": "auto"}, "truncation"),
        ({"tools": [FUNCTION, {"type": "web_search"}]}, "tools[1]"),
        ({"tools": [{"type": "custom", "name": "x"}]}, "tools[0]"),
        ({"tool_choice": {"type": "web_search"}}, "tool_choice"),
        ({"text": {"format": {"type": "grammar"}}}, "text.format"),
        ({"input": [{"type": "computer_call"}]}, "input[0]"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input[0].content[0]"),
        ({"input": [{**RESULT, "output": [{"type": "input_file"}]}]}, "input[0].output[0]"),
    ],
)
def test_what_is_not_offered_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(UnsupportedParameter) as refused:
        read(**fields)
    assert refused.value.param == param


def test_sampling() -> None:
    sampling = read(max_output_tokens=9, temperature=0.5, top_p=0.25).to_sampling()
    assert sampling == chat.Sampling(max_tokens=9, temperature=0.5, top_p=0.25)
    assert read().to_sampling() == chat.Sampling()


def test_tools() -> None:
    [tool] = read(tools=[{**FUNCTION, "strict": True}]).to_tools()
    assert (tool.name, tool.description, tool.parameters_json, tool.strict) == (
        "add",
        "adds",
        '{"type":"object"}',
        True,
    )


@pytest.mark.parametrize(
    ("choice", "mode", "name"),
    [
        ("none", chat.ToolChoice.MODE_NONE, ""),
        ("auto", chat.ToolChoice.MODE_AUTO, ""),
        ("required", chat.ToolChoice.MODE_REQUIRED, ""),
        ({"type": "function", "name": "add"}, chat.ToolChoice.MODE_NAMED, "add"),
        ({"type": "allowed_tools", "mode": "required", "tools": []}, chat.ToolChoice.MODE_REQUIRED, ""),
    ],
)
def test_a_tool_choice(choice: Any, mode: Any, name: str) -> None:
    assert read(tools=[FUNCTION], tool_choice=choice).to_tool_choice() == chat.ToolChoice(mode=mode, name=name)


def test_no_tool_choice_is_none() -> None:
    assert read().to_tool_choice() is None


def test_allowed_tools_alone_are_offered() -> None:
    tools = [FUNCTION, {**FUNCTION, "name": "mul"}]
    allowed = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "mul"}]}
    assert [tool.name for tool in read(tools=tools, tool_choice=allowed).to_tools()] == ["mul"]
    with pytest.raises(InvalidRequest) as refused:
        read(tools=[FUNCTION], tool_choice=allowed).to_tools()
    assert refused.value.param == "tool_choice.tools"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (None, None),
        ({}, None),
        ({"format": {"type": "text"}}, None),
        ({"format": {"type": "json_object"}}, chat.ResponseFormat(type=chat.ResponseFormat.TYPE_JSON_OBJECT)),
        (
            {"format": SCHEMA},
            chat.ResponseFormat(
                type=chat.ResponseFormat.TYPE_JSON_SCHEMA, schema_json='{"type":"object"}', strict=True
            ),
        ),
    ],
)
def test_the_form_of_the_answer(text: Any, wanted: chat.ResponseFormat | None) -> None:
    assert read(text=text).to_response_format() == wanted


@pytest.mark.parametrize(
    ("fields", "asked"),
    [
        ({}, {}),
        ({"top_logprobs": 0, "include": ["reasoning.encrypted_content"]}, {}),
        ({"include": ["message.output_text.logprobs"]}, {"logprobs": True}),
        ({"top_logprobs": 3}, {"logprobs": True, "top_logprobs": 3}),
    ],
)
def test_log_probabilities_are_included(fields: dict[str, Any], asked: dict[str, Any]) -> None:
    assert read(**fields).to_sampling() == chat.Sampling(**asked)
