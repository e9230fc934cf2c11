"""Anthropic's bodies: what is taken, and what is refused by the field's own name."""

import json
from typing import Any

import pytest

from serve.doors.anthropic_api.bodies import MessagesBody
from serve.doors.json_body import parse
from serve.errors import InvalidRequest, UnsupportedParameter
from tests.serve.doors.anthropic_api.asking import TOOL, USER, body_of


def read(**fields: Any) -> MessagesBody:
    return parse(MessagesBody, json.dumps(body_of(**fields)).encode())


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def source(**fields: Any) -> dict[str, Any]:
    return {"type": "document", "source": fields}


@pytest.mark.parametrize(
    "fields",
    [
        {"system": None, "tools": None, "tool_choice": None, "stream": None, "stop_sequences": None},
        {"system": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}]},
        {"messages": [user(), user({"type": "text", "text": "", "citations": None})]},
        {
            "messages": [
                USER,
                {"role": "assistant", "content": [{"type": "thinking", "thinking": "x", "signature": "y"}]},
            ]
        },
        {"thinking": {"type": "enabled", "budget_tokens": 1024}, "context_management": {"edits": []}},
        {"thinking": {"type": "adaptive"}, "speed": "standard", "mcp_servers": []},
        {"metadata": {"user_id": "x"}, "service_tier": "auto", "output_config": {"effort": "high"}},
        {"tools": [TOOL, {**TOOL, "name": "b", "type": "custom", "eager_input_streaming": True}]},
        {"quality_cost": 0.5, "ttft_target_ms": 100, "documents": ["a", {"text": "b", "url": "https://a.example"}]},
    ],
)
def test_what_clients_send_is_taken(fields: dict[str, Any]) -> None:
    read(**fields)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"model": 7}, "model"),
        ({"messages": "hello"}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [user({"type": "text"})]}, "messages[0].content[0].text"),
        ({"messages": [USER, user({"type": "tool_result"})]}, "messages[1].content[0].tool_use_id"),
        ({"messages": [{"role": "assistant", "content": [{"type": "tool_use", "id": "a"}]}]}, None),
        ({"system": 7}, "system"),
        ({"tools": [{"name": "a"}]}, "tools[0].input_schema"),
        ({"tool_choice": {"type": "sometimes"}}, "tool_choice.type"),
        ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema"),
        ({"temperature": "0.5"}, "temperature"),
        ({"stop_sequences": "END"}, "stop_sequences"),
    ],
)
def test_a_mistake_is_named(fields: dict[str, Any], param: str | None) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read(**fields)
    assert not isinstance(refused.value, UnsupportedParameter)
    assert refused.value.param == param or (param is None and refused.value.param)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"top_k": 5}, "top_k"),
        ({"mcp_servers": [{"type": "url", "url": "https://a.example"}]}, "mcp_servers"),
        ({"container": "c"}, "container"),
        ({"speed": "fast"}, "speed"),
        ({"surprise": 1}, "surprise"),
        ({"messages": [user({"type": "image", "source": {"type": "url"}})]}, "messages[0].content[0]"),
        ({"messages": [user({"type": "surprise"})]}, "messages[0].content[0]"),
        ({"messages": [user("words")]}, "messages[0].content[0]"),
        (
            {"messages": [user(source(type="base64", media_type="application/pdf", data=""))]},
            "messages[0].content[0].source",
        ),
        (
            {"messages": [user({"type": "tool_result", "tool_use_id": "a", "content": [{"type": "image"}]})]},
            "messages[0].content[0].content[0]",
        ),
        ({"tools": [TOOL, {"type": "web_search_20250305", "name": "web_search"}]}, "tools[1]"),
    ],
)
def test_what_is_not_offered_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(UnsupportedParameter) as refused:
        read(**fields)
    assert refused.value.param == param
