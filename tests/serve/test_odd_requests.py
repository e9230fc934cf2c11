"""Requests that are a little wrong in a part of a part: the error names that part, in the door's own words."""

from typing import Any

import httpx2
import pytest

from tests.helpers import CHAT

IMAGE = {"type": "image_url", "image_url": {"url": "data:,"}}
TEXT = {"type": "text", "text": "hello"}


def functions(*names: str) -> list[dict[str, Any]]:
    return [{"type": "function", "function": {"name": name}} for name in names]


def allowed(*names: str) -> dict[str, Any]:
    return {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": functions(*names)}}


async def test_no_class_of_ours_is_named(http: httpx2.AsyncClient) -> None:
    for path, fields in ((CHAT, {"messages": ["hello"]}), ("/v1/responses", {"input": ["hello"]})):
        [(name, _)] = fields.items()
        error = (await http.post(path, json={"model": "coder", **fields})).json()["error"]
        assert error["message"] == f"'{name}[0]': Input should be an object"


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"messages": [{"role": "user", "content": [TEXT, IMAGE]}]}, "unsupported_parameter", "messages[0].content[1]"),
        ({"messages": [{"role": "user", "content": [None]}]}, "unsupported_parameter", "messages[0].content[0]"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": None}]}]},
            "invalid_value",
            "messages[0].content[0].text",
        ),
        (
            {"tools": functions("a", "b c", "d"), "tool_choice": allowed("b c")},
            "invalid_value",
            "tools[1].function.name",
        ),
        ({"tools": functions("a"), "tool_choice": {"type": "function"}}, "invalid_value", "tool_choice.function.name"),
        ({"tools": functions("a"), "tool_choice": {"type": "custom"}}, "unsupported_parameter", "tool_choice"),
        ({"tools": functions("a"), "tool_choice": {}}, "unsupported_parameter", "tool_choice"),
        ({"tools": functions("a"), "tool_choice": "a"}, "invalid_value", "tool_choice"),
        ({"tools": [*functions("a"), {"type": "mcp"}]}, "unsupported_parameter", "tools[1]"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"id": "1", "type": "custom"}]}]},
            "unsupported_parameter",
            "messages[0].tool_calls[0]",
        ),
        ({"tools": functions("a"), "tool_choice": 7}, "invalid_value", "tool_choice"),
    ],
)
async def test_the_part_at_fault_is_named(
    http: httpx2.AsyncClient, fields: dict[str, Any], code: str, param: str
) -> None:
    body = {"model": "coder", "messages": [{"role": "user", "content": "hello"}], **fields}
    response = await http.post(CHAT, json=body)
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (400, code, param), error
    assert f"'{param}'" in error["message"]
