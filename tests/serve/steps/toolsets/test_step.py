"""A request names a set of tools at any door, and the expert is shown the tools themselves."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import httpx2
import pytest
import yaml

from experts.conversation.request_limits import MAX_TOOLS
from protos import chat_pb2 as chat
from protos import gateway_pb2 as pb
from protos.gateway_pb2_grpc import GatewayStub
from tests.fakes.expert_server import FakeExperts
from tests.helpers import CHAT, until

CRM = {"type": "toolset", "name": "crm"}
USER = {"role": "user", "content": "Cancel the order of Anna Meyer"}
OWN = {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}}
ASK: dict[str, Any] = {"model": "tool-caller", "messages": [USER], "tools": [CRM]}
KEYS = {name: hashlib.sha256(f"mg-{name}".encode()).hexdigest() for name in ("ann", "bob", "eve")}
Sample = Callable[..., float]


def tool_set(name: str, *tools: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "tools": [{"name": tool, "description": f"What {tool} does", **more} for tool in tools]}


def write(path: Path, content: object) -> Path:
    path.write_text(yaml.safe_dump(content), "utf-8")
    return path


SETS = [
    tool_set("crm", "find_customer", "cancel_order"),
    tool_set("twin", "now"),
    tool_set("large", *(f"machine_{n}" for n in range(MAX_TOOLS))),
]


@pytest.fixture
def sets_file(tmp_path: Path) -> Path:
    return write(tmp_path / "toolsets.yaml", {"toolsets": SETS})


@pytest.fixture
def more() -> dict[str, Any]:
    """Settings beside the file."""
    return {}


@pytest.fixture
def overrides(sets_file: Path, more: dict[str, Any]) -> dict[str, Any]:
    return {"toolsets": {"file": str(sets_file)}, **more}


def shown(experts: FakeExperts) -> list[str]:
    return [tool.name for tool in experts["tool-caller"].requests[-1].conversation.tools]


async def test_the_expert_is_shown_the_tools_and_the_caller_is_told(
    http: httpx2.AsyncClient, experts: FakeExperts, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "moegate.request"):
        answer = await http.post(CHAT, json={**ASK, "tools": [CRM, OWN], "plan": True, "tool_choice": "required"})
    assert answer.status_code == 200, answer.text
    assert shown(experts) == ["now", "find_customer", "cancel_order"], "the request's own come first"
    assert experts["tool-caller"].requests[-1].conversation.tools[1].description == "What find_customer does"
    assert answer.headers["x-moegate-toolsets"] == "crm=2"
    [line] = [record.__dict__ for record in caplog.records if record.name == "moegate.request"]
    assert line["toolsets"] == "crm=2"


async def test_every_door_offers_it(http: httpx2.AsyncClient, stub: GatewayStub, experts: FakeExperts) -> None:
    bodies = {
        "/v1/responses": {"model": "tool-caller", "input": "Cancel it", "tools": [CRM]},
        "/v1/messages": {"model": "tool-caller", "max_tokens": 9, "messages": [USER], "tools": [CRM]},
        "/v1/messages/count_tokens": {"model": "tool-caller", "messages": [USER], "tools": [CRM]},
    }
    for path, body in bodies.items():
        answer = await http.post(path, json=body)
        assert answer.status_code == 200, answer.text
        assert shown(experts) == ["find_customer", "cancel_order"], path
    talk = chat.Conversation(messages=[chat.Message(role=chat.ROLE_USER, content="Cancel it")])
    call = stub.Complete(pb.GenerateRequest(model="tool-caller", conversation=talk, toolsets=["crm"]))
    await call
    assert shown(experts) == ["find_customer", "cancel_order"]
    assert dict(await call.initial_metadata())["x-moegate-toolsets"] == "crm=2"


async def test_a_named_choice_may_be_a_tool_of_the_set(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    named = {"type": "function", "function": {"name": "cancel_order"}}
    assert (await http.post(CHAT, json={**ASK, "tool_choice": named})).status_code == 200
    assert experts["tool-caller"].requests[-1].conversation.tool_choice.name == "cancel_order"


NAMED = {"type": "function", "function": {"name": "nothing"}}
NARROW = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [NAMED]}}


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        ({"tools": [OWN, {"type": "toolset", "name": "erp"}]}, 404, "toolset_not_found", "tools[1].name"),
        ({"tools": [CRM, CRM]}, 400, "invalid_value", "tools[1].name"),
        ({"tools": [OWN, {"type": "toolset", "name": "twin"}]}, 400, "invalid_value", "tools[1].name"),
        ({"tools": [OWN, {"type": "toolset", "name": "large"}]}, 400, "invalid_value", "tools"),
        ({"tools": [{"type": "toolset"}]}, 400, "invalid_value", "tools[0].name"),
        ({"tools": [{"type": "toolset", "name": 7}]}, 400, "invalid_value", "tools[0].name"),
        ({"tools": [{"type": "toolset", "name": f"s{n}"} for n in range(17)]}, 400, "invalid_value", "tools[16].name"),
        ({"tool_choice": NAMED}, 400, "invalid_value", "tool_choice"),
        ({"tool_choice": NARROW}, 400, "invalid_value", "tool_choice"),
        ({"tools": [{"type": "toolbox", "name": "crm"}]}, 400, "unsupported_parameter", "tools[0]"),
    ],
)
async def test_what_is_wrong_is_named(
    body: dict[str, Any], status: int, code: str, param: str, http: httpx2.AsyncClient, experts: FakeExperts
) -> None:
    answer = await http.post(CHAT, json={**ASK, **body})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (status, code, param), error
    assert not experts["tool-caller"].requests


async def test_grpc_names_its_own_field(stub: GatewayStub) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Complete(pb.GenerateRequest(prompt="once", toolsets=["crm"]))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "toolsets[0]" in str(caught.value.details())


@pytest.mark.parametrize("overrides", [{}])
async def test_a_gateway_without_sets_says_so(http: httpx2.AsyncClient, stub: GatewayStub) -> None:
    error = (await http.post(CHAT, json=ASK)).json()["error"]
    assert (error["code"], error["param"]) == ("unsupported_parameter", "tools[0].name")
    assert "toolset" in error["message"]


@pytest.mark.parametrize(
    "more",
    [
        {
            "access": {
                "keys": [
                    {"name": "ann", "sha256": KEYS["ann"], "toolsets": ["crm"]},
                    {"name": "bob", "sha256": KEYS["bob"], "toolsets": ["*"]},
                    {"name": "eve", "sha256": KEYS["eve"]},
                ]
            }
        }
    ],
)
async def test_a_key_names_its_sets_and_no_others(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    statuses = {}
    for name in KEYS:
        for wanted in ("crm", "twin"):
            tools = [{"type": "toolset", "name": wanted}]
            answer = await http.post(CHAT, json={**ASK, "tools": tools}, headers={"x-api-key": f"mg-{name}"})
            statuses[name, wanted] = answer.status_code
    allowed = {("ann", "crm"), ("bob", "crm"), ("bob", "twin")}
    assert statuses == {pair: 200 if pair in allowed else 404 for pair in statuses}
    assert len(experts["tool-caller"].requests) == len(allowed)


@pytest.mark.parametrize("more", [{"tool_selection": {"enabled": True}}])
async def test_of_a_large_set_an_expert_is_shown_what_the_request_may_need(
    http: httpx2.AsyncClient, experts: FakeExperts
) -> None:
    tools = [{"type": "toolset", "name": name} for name in ("large", "crm")]
    answer = await http.post(CHAT, json={**ASK, "tools": tools})
    assert answer.status_code == 200, answer.text
    assert "cancel_order" in shown(experts)
    assert len(shown(experts)) < MAX_TOOLS
    assert answer.headers["x-moegate-toolsets"] == f"large={MAX_TOOLS}; crm=2"
    assert "left-out" in answer.headers["x-moegate-tool-selection"]


async def test_a_changed_file_is_taken_up_and_a_broken_one_refused(
    http: httpx2.AsyncClient, experts: FakeExperts, sets_file: Path, sample: Sample
) -> None:
    write(sets_file, {"toolsets": [tool_set("crm", "find_order")]})
    await until(lambda: sample("moegate_configuration_reloads_total", configuration="toolsets", outcome="taken") == 1)
    assert (await http.post(CHAT, json=ASK)).status_code == 200
    assert shown(experts) == ["find_order"]
    write(sets_file, {"toolsets": 3})
    await until(lambda: sample("moegate_configuration_reloads_total", configuration="toolsets", outcome="refused") == 1)
    assert (await http.post(CHAT, json=ASK)).status_code == 200
