"""A response_format goes to an expert that can keep to it, or is refused by name."""

from __future__ import annotations

from typing import Any

import grpc
import httpx2
import pytest

from protos import chat_pb2 as chat
from protos import gateway_pb2 as pb
from protos.gateway_pb2_grpc import GatewayStub
from serve.app import App
from tests.fakes.expert_server import FakeExperts

CHAT = "/v1/chat/completions"
HELLO = [{"role": "user", "content": "Write a Python function that adds two numbers."}]
OBJECT = {"type": "json_object"}


def schema(content: object, **fields: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": content, **fields}}


@pytest.fixture
async def able(app: App, experts: FakeExperts) -> None:
    """Two of the experts can, and neither is the one that the router likes best."""
    for name in ("advisor", "generalist"):
        experts[name].structured_output = True
    await app._health.probe_all()


@pytest.mark.usefixtures("able")
async def test_the_router_passes_over_experts_that_cannot(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    free = await http.post(CHAT, json={"messages": HELLO})
    held = await http.post(CHAT, json={"messages": HELLO, "response_format": OBJECT})
    assert free.headers["x-moegate-expert"] == "coder"
    assert held.status_code == 200
    assert held.headers["x-moegate-expert"] in {"advisor", "generalist"}
    [request] = experts[held.headers["x-moegate-expert"]].requests
    assert request.conversation.response_format.type == chat.ResponseFormat.TYPE_JSON_OBJECT


@pytest.mark.usefixtures("able")
async def test_a_fallback_stays_among_those_that_can(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    for name in ("advisor", "generalist"):
        experts[name].refuse = (grpc.StatusCode.UNAVAILABLE, "gone")
    response = await http.post(CHAT, json={"messages": HELLO, "response_format": OBJECT})
    assert (response.status_code, response.json()["error"]["code"]) == (503, "expert_unavailable")
    assert all(not experts[name].requests for name in ("coder", "researcher", "tool-caller"))


@pytest.mark.usefixtures("able")
async def test_a_pinned_expert_that_cannot_is_named(http: httpx2.AsyncClient) -> None:
    response = await http.post(CHAT, json={"model": "coder", "messages": HELLO, "response_format": OBJECT})
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (400, "unsupported_parameter", "response_format")
    assert "named in 'model'" in error["message"]


async def test_nobody_can(http: httpx2.AsyncClient, app: App) -> None:
    response = await http.post(CHAT, json={"messages": HELLO, "response_format": OBJECT})
    assert (response.status_code, response.json()["error"]["code"]) == (400, "unsupported_parameter")
    for health in app._health.experts.values():
        health.structured_output = None
    response = await http.post(CHAT, json={"messages": HELLO, "response_format": OBJECT})
    assert (response.status_code, response.json()["error"]["code"]) == (503, "expert_unavailable")


@pytest.mark.usefixtures("able")
async def test_an_experts_own_refusal_is_translated(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    experts["advisor"].refuse = (grpc.StatusCode.INVALID_ARGUMENT, "unsupported_response_format: 10.0.0.1 cannot")
    response = await http.post(CHAT, json={"model": "advisor", "messages": HELLO, "response_format": OBJECT})
    assert (response.status_code, response.json()["error"]["code"]) == (400, "unsupported_parameter")
    assert "10.0.0.1" not in response.text


@pytest.mark.usefixtures("able")
async def test_a_schema_reaches_the_expert(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    content = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    body = {"model": "advisor", "messages": HELLO, "response_format": schema(content, strict=True)}
    assert (await http.post(CHAT, json=body)).status_code == 200
    wanted = experts["advisor"].requests[0].conversation.response_format
    assert (wanted.type, wanted.strict) == (chat.ResponseFormat.TYPE_JSON_SCHEMA, True)
    assert wanted.schema_json == '{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]}'


DEEP: dict[str, Any] = {}
for _ in range(400):
    DEEP = {"items": DEEP}

BAD: list[tuple[object, str]] = [
    ({"type": "yaml"}, "response_format.type"),
    ({}, "response_format.type"),
    ("json_object", "response_format"),
    ({"type": "json_schema"}, "response_format.json_schema"),
    (schema("x"), "response_format.json_schema.schema"),
    (schema({"type": "banana"}), "response_format"),
    (schema({"$ref": "#"}), "response_format"),
    (schema({"$ref": "https://127.0.0.1:1/schema.json"}), "response_format"),
    (
        schema({"$ref": "#/$defs/a", "$defs": {"a": {"items": {"$ref": "#/$defs/a"}, "type": "array"}}}),
        "response_format",
    ),
    (schema({"enum": ["x" * 70_000]}), "response_format"),
    (schema({"anyOf": [{"anyOf": [{"type": "null"}] * 30}] * 30}), "response_format"),
    (schema(DEEP), "response_format"),
    (schema({"type": "string", "pattern": "^(a+)+$"}, strict=True), "response_format"),
]


@pytest.mark.usefixtures("able")
@pytest.mark.parametrize(("response_format", "param"), BAD)
async def test_bad_formats_are_refused_before_any_expert(
    http: httpx2.AsyncClient, experts: FakeExperts, response_format: object, param: str
) -> None:
    response = await http.post(CHAT, json={"model": "advisor", "messages": HELLO, "response_format": response_format})
    assert (response.status_code, response.json()["error"]["param"]) == (400, param)
    assert not experts["advisor"].requests


@pytest.mark.usefixtures("able")
async def test_not_beside_tools(http: httpx2.AsyncClient) -> None:
    tool = {"type": "function", "function": {"name": "now"}}
    body = {"model": "advisor", "messages": HELLO, "response_format": OBJECT, "tools": [tool]}
    response = await http.post(CHAT, json=body)
    assert (response.status_code, response.json()["error"]["param"]) == (400, "response_format")
    assert (await http.post(CHAT, json={**body, "tool_choice": "none"})).status_code == 200


@pytest.mark.usefixtures("able")
async def test_grpc(stub: GatewayStub, experts: FakeExperts) -> None:
    def ask(wanted: chat.ResponseFormat, model: str) -> pb.GenerateRequest:
        messages = [chat.Message(role=chat.ROLE_USER, content="hi")]
        conversation = chat.Conversation(messages=messages, response_format=wanted)
        return pb.GenerateRequest(model=model, conversation=conversation)

    held = chat.ResponseFormat(type=chat.ResponseFormat.TYPE_JSON_OBJECT)
    assert (await stub.Complete(ask(held, "auto"))).expert in {"advisor", "generalist"}
    bad = chat.ResponseFormat(type=chat.ResponseFormat.TYPE_JSON_SCHEMA, schema_json="{")
    for wanted, model in ((held, "coder"), (bad, "advisor")):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Complete(ask(wanted, model))
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert dict(caught.value.trailing_metadata() or ())["x-moegate-error-param"] == "response_format"
