"""A strict tool to whose schema no call can be held is refused on every door; any other is taken."""

import json
from typing import Any

import grpc
import httpx2
import pytest

from protos import chat_pb2 as chat
from protos import gateway_pb2 as pb
from protos.gateway_pb2_grpc import GatewayStub
from tests.fakes.expert_server import FakeExperts
from tests.helpers import CHAT

USER = {"role": "user", "content": "hello"}
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
NOWHERE = {"type": "object", "properties": {"city": {"$ref": "#/$defs/Nope"}}, "required": ["city"]}

DOORS: dict[str, tuple[dict[str, Any], str]] = {
    CHAT: ({"messages": [USER]}, "tools[1].function.parameters"),
    "/v1/responses": ({"input": "hello"}, "tools[1].parameters"),
    "/v1/responses/input_tokens": ({"input": "hello"}, "tools[1].parameters"),
    "/v1/messages": ({"messages": [USER], "max_tokens": 9}, "tools[1].input_schema"),
    "/v1/messages/count_tokens": ({"messages": [USER]}, "tools[1].input_schema"),
}


def tool(path: str, name: str, schema: object, *, strict: bool | None) -> dict[str, Any]:
    """A tool as a door has it."""
    if path.startswith("/v1/messages"):
        return {"name": name, "input_schema": schema, "strict": strict}
    function = {"name": name, "parameters": schema, "strict": strict}
    return {"type": "function", "function": function} if path == CHAT else {"type": "function", **function}


def asked(path: str, schema: object, *, strict: bool | None) -> dict[str, Any]:
    tools = [tool(path, "now", CITY, strict=True), tool(path, "weather", schema, strict=strict)]
    return {"model": "coder", **DOORS[path][0], "tools": tools}


@pytest.mark.parametrize("path", DOORS)
async def test_a_reference_to_nowhere(http: httpx2.AsyncClient, experts: FakeExperts, path: str) -> None:
    refused = await http.post(path, json=asked(path, NOWHERE, strict=True))
    error = refused.json()["error"]
    assert (refused.status_code, error["code"], error["param"]) == (400, "invalid_value", DOORS[path][1]), error
    assert error["message"] == f"'{DOORS[path][1]}': #/properties/city: a $ref points nowhere"
    assert not experts["coder"].requests
    for strict in (None, False):
        assert (await http.post(path, json=asked(path, NOWHERE, strict=strict))).status_code == 200
    [_, heard] = experts["coder"].requests[-1].conversation.tools
    assert json.loads(heard.parameters_json) == NOWHERE


async def test_a_reference_to_nowhere_over_grpc(stub: GatewayStub, experts: FakeExperts) -> None:
    user = chat.Message(role=chat.ROLE_USER, content="hello")
    for strict in (False, True):
        held = chat.Tool(name="weather", parameters_json=json.dumps(NOWHERE), strict=strict)
        request = pb.GenerateRequest(model="coder", conversation=chat.Conversation(messages=[user], tools=[held]))
        if not strict:
            assert (await stub.Complete(request)).text
            continue
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Complete(request)
        assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert "'tools[0].function.parameters': #/properties/city" in str(refused.value.details())
    assert len(experts["coder"].requests) == 1


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string"},
        {"type": "banana"},
        {**CITY, "minProperties": 2},
        {"$ref": "https://example.org/schema.json"},
        {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]},
    ],
)
async def test_whatever_else_no_call_can_be_held_to(http: httpx2.AsyncClient, schema: object) -> None:
    for strict, status in ((True, 400), (False, 200)):
        assert (await http.post(CHAT, json=asked(CHAT, schema, strict=strict))).status_code == status


async def test_strict_schemas_have_a_bound_all_together(http: httpx2.AsyncClient) -> None:
    wide = {name: {"anyOf": [{"type": "null"}, {"$ref": "#"}]} for name in "abcdefgh"}
    schemas = ({"type": "object", "title": f"{n}", "properties": wide} for n in range(100))
    tools = [tool(CHAT, f"t{n}", schema, strict=True) for n, schema in enumerate(schemas)]
    body = {"model": "coder", "messages": [USER], "tools": tools}
    error = (await http.post(CHAT, json=body)).json()["error"]
    assert (error["code"], error["param"]) == ("invalid_value", "tools")
    assert (await http.post(CHAT, json={**body, "tools": tools[:2]})).status_code == 200
