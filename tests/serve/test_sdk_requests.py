"""Odd but legal requests as the official SDKs and common clients send them: taken, or refused by the part's name."""

from typing import Any

import httpx2
import pytest

from protos import chat_pb2 as chat
from tests.fakes.expert_server import FakeExperts
from tests.helpers import CHAT

COMPLETIONS, RESPONSES, MESSAGES = "/v1/completions", "/v1/responses", "/v1/messages"
USER = {"role": "user", "content": "hello"}
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"name": "weather", "parameters": CITY, "strict": None}
TOOL = {"type": "function", "function": WEATHER}
FUNCTION = {"type": "function", **WEATHER, "defer_loading": False, "allowed_callers": ["direct"]}
CLAUDES = {"name": "weather", "input_schema": CITY, "type": "custom", "eager_input_streaming": True}
CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": ""}, "index": 0}
ITEM = {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}", "id": "fc_1", "caller": None}
USE = {"type": "tool_use", "id": "c1", "name": "weather", "input": {}, "caller": {"type": "direct"}}
EPHEMERAL = {"cache_control": {"type": "ephemeral"}}


def text(kind: str, words: str = "hello") -> dict[str, Any]:
    return {"type": kind, "text": words, **EPHEMERAL}


def result(**fields: Any) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", **fields}]}


TAKEN: dict[str, list[dict[str, Any]]] = {
    CHAT: [
        {"store": True, "metadata": {"a": "b"}, "service_tier": "flex", "reasoning_effort": "low", "verbosity": "low"},
        {"messages": [{"role": "developer", "content": [text("text")]}, USER]},
        {"messages": [{"role": "system", "content": "a"}, {"role": "system", "content": "b"}, USER]},
        {"messages": [USER, {"role": "assistant", "content": "", "tool_calls": [CALL]}, USER], "tools": [TOOL]},
        {
            "messages": [
                USER,
                {"role": "assistant", "content": [], "tool_calls": [CALL], "reasoning_content": "so"},
                {"role": "tool", "tool_call_id": "c1", "content": [text("text")], "name": "weather"},
            ]
        },
        {"messages": [USER, {"role": "assistant", "content": "x", "annotations": [], "tool_calls": []}, USER]},
        {"messages": [USER, {"role": "assistant", "content": "begun"}]},
        {"chat_template_kwargs": {"enable_thinking": False}, "top_k": 5, "min_p": 0.1, "repetition_penalty": 1.1},
        {"stream": True, "stream_options": {"include_usage": True, "include_obfuscation": False}},
        {"stream_options": {"include_usage": True}},
        {"temperature": 1, "top_p": 1, "n": 1, "frequency_penalty": 0, "presence_penalty": 0, "stop": []},
        {"tools": [], "tool_choice": "none"},
        {"tool_choice": "auto", "parallel_tool_calls": True},
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]},
        {"tools": [{"type": "function", "function": {"name": "f", "strict": True}}]},
        {"response_format": {"type": "text"}, "modalities": ["text"]},
        {"prompt_cache_key": "k", "prompt_cache_retention": "24h", "safety_identifier": "s", "user": ""},
        {"moderation": None, "guided_json": None},
    ],
    COMPLETIONS: [{"tools": [], "plan": False, "retrieval": None}],
    RESPONSES: [
        {"input": [{"role": "user", "content": [text("input_text")]}]},
        {"input": [{"role": "developer", "content": "d"}, {"type": "message", **USER}], "instructions": ""},
        {"input": [USER, ITEM, {"type": "function_call_output", "call_id": "c1", "output": [text("input_text")]}]},
        {
            "input": [
                USER,
                {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"},
                {"role": "assistant", "content": [{**text("output_text"), "annotations": []}], "phase": "final_answer"},
                USER,
            ]
        },
        {"store": True, "metadata": {}, "service_tier": "auto", "truncation": "disabled", "background": False},
        {"reasoning": {"effort": "low", "summary": "auto"}, "include": ["reasoning.encrypted_content"]},
        {"text": {"format": {"type": "text"}, "verbosity": "low"}},
        {"tools": [FUNCTION], "tool_choice": {"type": "function", "name": "weather"}, "max_tool_calls": 1},
        {"tools": [], "tool_choice": None, "parallel_tool_calls": False},
        {"tools": [{"type": "function", "name": "f", "parameters": None, "strict": None, "description": None}]},
        {"stream": True, "stream_options": {"include_obfuscation": False}},
        {"conversation": None, "prompt": None, "context_management": None, "previous_response_id": None},
        {"image": None, "access_programs": None, "text": {"format": None}, "input": [{**USER, "id": None}]},
    ],
    MESSAGES: [
        {"system": [text("text")]},
        {"system": []},
        {"messages": [USER, {"role": "system", "content": "Be brief."}, USER]},
        {"messages": [USER, {"role": "system", "content": [text("text")]}]},
        {"messages": [{"role": "user", "content": [text("text")]}]},
        {"messages": [USER, {"role": "assistant", "content": [{"type": "redacted_thinking", "data": "x"}]}, USER]},
        {"messages": [USER, {"role": "assistant", "content": []}, USER]},
        {"messages": [USER, {"role": "assistant", "content": [USE]}, result(is_error=False)], "tools": [CLAUDES]},
        {"messages": [USER, {"role": "assistant", "content": [USE]}, result(content=[text("text")], **EPHEMERAL)]},
        {"tools": [CLAUDES], "tool_choice": {"type": "none"}},
        {"tools": [CLAUDES], "tool_choice": {"type": "any", "disable_parallel_tool_use": True}},
        {"tool_choice": {"type": "none"}},
        {"thinking": {"type": "disabled"}},
        {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low", "format": None}},
        {"metadata": {"user_id": "u"}, "service_tier": "standard_only", "inference_geo": "us", "speed": "standard"},
        {"stop_sequences": [], "temperature": 1, "top_k": None, "container": None, "mcp_servers": []},
        {"context_management": {"edits": []}, "diagnostics": {"previous_message_id": None}, **EPHEMERAL},
    ],
}
ASKED: dict[str, dict[str, Any]] = {
    CHAT: {"messages": [USER]},
    COMPLETIONS: {"prompt": "hello"},
    RESPONSES: {"input": "hello"},
    MESSAGES: {"messages": [USER], "max_tokens": 9},
}


@pytest.mark.parametrize("path", TAKEN)
async def test_what_is_taken(http: httpx2.AsyncClient, path: str) -> None:
    for fields in TAKEN[path]:
        response = await http.post(path, json={"model": "coder", **ASKED[path], **fields})
        assert response.status_code == 200, (fields, response.text)


REFUSED: dict[str, list[tuple[dict[str, Any], str, str]]] = {
    CHAT: [
        ({"tools": [{"type": "custom", "custom": {"name": "f"}}]}, "tools[0]", "the type 'custom'"),
        ({"tools": [TOOL, {"type": "mcp", "server_label": "x"}]}, "tools[1]", "the type 'mcp'"),
        ({"messages": [{"role": "user", "content": [{"type": "file"}]}]}, "messages[0].content[0]", "the type 'file'"),
        (
            {"messages": [USER, {"role": "assistant", "tool_calls": [{"id": "1", "type": "custom"}]}]},
            "messages[1].tool_calls[0]",
            "the type 'custom'",
        ),
        ({"moderation": {"model": "m"}}, "moderation", ""),
        ({"response_format": {"type": "json_object", "schema": {"type": "object"}}}, "response_format.schema", ""),
        *(
            ({name: {"type": "object"}}, name, "")
            for name in ("guided_json", "guided_regex", "guided_choice", "guided_grammar", "structured_outputs")
        ),
        *(({name: "a+"}, name, "") for name in ("regex", "ebnf", "grammar", "json_schema")),
    ],
    COMPLETIONS: [
        ({"tools": [TOOL]}, "tools", ""),
        ({"tools": [{"type": "toolset", "name": "crm"}]}, "tools", ""),
        ({"plan": True}, "plan", ""),
        ({"retrieval": {"collections": ["a"]}}, "retrieval", ""),
    ],
    RESPONSES: [
        ({"plan": True}, "plan", ""),
        *(
            ({"tools": [{"type": kind}]}, "tools[0]", f"the type '{kind}'")
            for kind in ("mcp", "custom", "web_search", "code_interpreter", "image_generation", "namespace")
        ),
        ({"input": [USER, {"type": "mcp_call", "id": "x"}]}, "input[1]", "the type 'mcp_call'"),
        ({"tools": [FUNCTION], "tool_choice": {"type": "mcp"}}, "tool_choice", "the type 'mcp'"),
        ({"truncation": "auto"}, "truncation", ""),
        ({"conversation": "conv_1"}, "conversation", ""),
    ],
    MESSAGES: [
        *(
            ({"tools": [{"type": kind, "name": "x"}]}, "tools[0]", f"the type '{kind}'")
            for kind in ("mcp_toolset", "web_search_20250305", "bash_20250124", "computer_20250124")
        ),
        ({"mcp_servers": [{"type": "url", "name": "x", "url": "http://x"}]}, "mcp_servers", ""),
        (
            {"messages": [{"role": "user", "content": [{"type": "search_result"}]}]},
            "messages[0].content[0]",
            "the type 'search_result'",
        ),
        ({"top_k": 5}, "top_k", ""),
        ({"plan": True}, "plan", ""),
    ],
}


@pytest.mark.parametrize("path", REFUSED)
async def test_what_is_refused_by_name(http: httpx2.AsyncClient, experts: FakeExperts, path: str) -> None:
    for fields, param, words in REFUSED[path]:
        response = await http.post(path, json={"model": "coder", **ASKED[path], **fields})
        message = response.json()["error"]["message"]
        assert response.status_code == 400 and f"'{param}'" in message and words in message, (fields, response.text)
        if path != MESSAGES:
            error = response.json()["error"]
            assert (error["code"], error["param"]) == ("unsupported_parameter", param), fields
    assert not experts["coder"].requests


async def test_a_type_that_no_api_has_is_not_repeated(http: httpx2.AsyncClient) -> None:
    body = {"model": "coder", "messages": [USER], "tools": [{"type": "My Secret"}]}
    error = (await http.post(CHAT, json=body)).json()["error"]
    assert error["message"] == "'tools[0]': this type is not supported"


async def test_a_reference_may_leave_its_type_out(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    first = (await http.post(RESPONSES, json={"model": "coder", "input": "hello"})).json()
    items = [USER, {"id": first["output"][0]["id"]}, USER]
    assert (await http.post(RESPONSES, json={"model": "coder", "input": items})).status_code == 200
    heard = [message.content for message in experts["coder"].requests[-1].conversation.messages]
    assert heard == ["hello", "Hello there!", "hello"]


async def test_a_system_message_keeps_its_place(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    turns = [USER, {"role": "system", "content": "Be brief."}, USER]
    body = {"model": "coder", "max_tokens": 9, "system": "You help.", "messages": turns}
    assert (await http.post(MESSAGES, json=body)).status_code == 200
    heard = [(message.role, message.content) for message in experts["coder"].requests[0].conversation.messages]
    assert heard == [
        (chat.ROLE_SYSTEM, "You help."),
        (chat.ROLE_USER, "hello"),
        (chat.ROLE_SYSTEM, "Be brief."),
        (chat.ROLE_USER, "hello"),
    ]
