"""Many tools at both doors: an expert sees those that the request may need, and the caller is told."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from experts.conversation.request_limits import MAX_OFFERED_TOOLS, MAX_TOOLS
from protos import chat_pb2 as chat
from protos import encoder_pb2
from protos import gateway_pb2 as gateway
from protos.gateway_pb2_grpc import GatewayStub
from router.tools.selector import shipped_selector
from serve.settings.tool_selection import ToolSelectionSettings
from serve.steps.tool_selection.step import always_kept, question_of
from tests.fakes.expert_server import FakeExperts
from tests.helpers import CHAT

ON: dict[str, Any] = {"tool_selection": {"enabled": True}}
WANTED = {"name": "get_weather", "description": "Weather forecast for a city", "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}  # fmt: skip


def functions(count: int) -> list[dict[str, Any]]:
    """Return so many tools; the one that is wanted stands last."""
    others = [
        {"name": f"report_{n}", "description": f"Report about machine {n} of the factory", "parameters": {}}
        for n in range(count - 1)
    ]
    return [*others, WANTED]


def ask(count: int, words: str = "What is the weather in Oslo?", **more: Any) -> dict[str, Any]:
    tools = [{"type": "function", "function": function} for function in functions(count)]
    return {"model": "tool-caller", "messages": [{"role": "user", "content": words}], "tools": tools, **more}


def shown(experts: FakeExperts) -> list[str]:
    return [tool.name for tool in experts["tool-caller"].requests[-1].conversation.tools]


@pytest.mark.parametrize("overrides", [ON])
async def test_an_expert_sees_a_few_of_many(
    http: httpx2.AsyncClient, experts: FakeExperts, sample: Callable[..., float]
) -> None:
    response = await http.post(CHAT, json=ask(400))
    assert response.status_code == 200, response.text
    names = shown(experts)
    assert "get_weather" in names
    assert len(names) < 100
    assert response.headers["x-moegate-tool-selection"] == f"kept={len(names)}; left-out={400 - len(names)}"
    assert sample("moegate_tool_selection_requests_total", outcome="selected") == 1
    assert sample("moegate_tools_left_out_total") == 400 - len(names)
    assert sample("moegate_tool_selection_seconds_count") == 1


@pytest.mark.parametrize("overrides", [ON])
async def test_grpc_does_the_same(stub: GatewayStub, experts: FakeExperts) -> None:
    tools = [chat.Tool(name=f["name"], description=f["description"]) for f in functions(MAX_OFFERED_TOOLS)]
    talk = chat.Conversation(messages=[chat.Message(role=chat.ROLE_USER, content="Will it rain?")], tools=tools)
    call = stub.Complete(gateway.GenerateRequest(model="tool-caller", conversation=talk))
    await call
    assert "get_weather" in shown(experts)
    assert len(shown(experts)) <= MAX_TOOLS
    facts = dict(await call.initial_metadata())
    assert facts["x-moegate-tool-selection"].startswith("kept=")


@pytest.mark.parametrize("overrides", [ON])
async def test_what_a_request_names_or_has_called_is_kept(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "report_7", "arguments": "{}"}}
    history = [
        {"role": "user", "content": "Report on machine seven"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "fine"},
        {"role": "user", "content": "And the weather in Oslo?"},
    ]
    await http.post(CHAT, json={**ask(300), "messages": history})
    assert {"report_7", "get_weather"} <= set(shown(experts))
    named = {"type": "function", "function": {"name": "report_250"}}
    await http.post(CHAT, json=ask(300, tool_choice=named))
    assert "report_250" in shown(experts)


@pytest.mark.parametrize("overrides", [ON])
async def test_what_tells_nothing_passes_all_that_an_expert_may_be_shown(
    http: httpx2.AsyncClient, experts: FakeExperts, sample: Callable[..., float]
) -> None:
    for count, kept in ((40, 40), (200, MAX_TOOLS)):
        await http.post(CHAT, json=ask(count, words="Hmm."))
        assert len(shown(experts)) == kept
    assert sample("moegate_tool_selection_requests_total", outcome="unsure") == 2


@pytest.mark.parametrize("overrides", [ON])
async def test_a_request_with_few_tools_is_left_alone(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    response = await http.post(CHAT, json=ask(15))
    assert len(shown(experts)) == 15
    assert "x-moegate-tool-selection" not in response.headers


@pytest.mark.parametrize(
    ("overrides", "most"), [(ON, MAX_OFFERED_TOOLS), ({}, MAX_TOOLS), ({"tool_selection": {"max_tools": 500}}, 128)]
)
async def test_one_tool_too_many_is_refused(http: httpx2.AsyncClient, experts: FakeExperts, most: int) -> None:
    assert (await http.post(CHAT, json=ask(most))).status_code == 200
    refused = await http.post(CHAT, json=ask(most + 1))
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "tools")


async def test_off_by_default_all_tools_pass(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    response = await http.post(CHAT, json=ask(100))
    assert len(shown(experts)) == 100
    assert "x-moegate-tool-selection" not in response.headers


def message(role: chat.Role, content: str = "", *called: str) -> chat.Message:
    return chat.Message(role=role, content=content, tool_calls=[chat.ToolCall(id=name, name=name) for name in called])


def test_results_of_tools_are_nobodys_words() -> None:
    asked = [message(chat.ROLE_USER, "Lock the garage"), message(chat.ROLE_TOOL, "weather weather weather")]
    question = question_of(asked)
    assert len(question.parts) == 1
    assert question_of([message(chat.ROLE_SYSTEM, "Be kind")]).parts == [[]]


def test_the_newest_call_is_kept_first() -> None:
    tools = [chat.Tool(name=name) for name in "abc"]
    talk = [message(chat.ROLE_ASSISTANT, "", "c", "b"), message(chat.ROLE_ASSISTANT, "", "a", "gone")]
    named = chat.ToolChoice(mode=chat.ToolChoice.MODE_NAMED, name="b")
    assert always_kept(chat.Conversation(messages=talk, tools=tools)) == [0, 2, 1]
    assert always_kept(chat.Conversation(messages=talk, tools=tools, tool_choice=named)) == [1, 0, 2]


def test_the_stated_recall_can_be_any_that_the_settings_allow() -> None:
    for recall in (0.5, 0.97, 0.99):
        assert shipped_selector().words.calibrated(ToolSelectionSettings(recall=recall).recall)[0] > 0


HEARD: dict[str, Any] = {**ON, "encoder": {"enabled": True}}


@pytest.mark.parametrize("overrides", [HEARD])
async def test_an_encoder_is_heard_once_a_set_comes_again(
    http: httpx2.AsyncClient, experts: FakeExperts, sample: Callable[..., float]
) -> None:
    told = []
    async with asyncio.timeout(60):
        while not told or "meaning" not in told[-1]:
            response = await http.post(CHAT, json=ask(200))
            told.append(response.headers["x-moegate-tool-selection"])
            assert "get_weather" in shown(experts)
    assert len(told) >= 3
    assert all(one.endswith("; by=words") for one in told[:2])
    assert told[-1].endswith("; by=words+meaning")
    tools, questions = (
        [request for request in experts.encoder.requests if request.role == role]
        for role in (encoder_pb2.ROLE_PASSAGE, encoder_pb2.ROLE_QUERY)
    )
    assert [len(request.texts) for request in tools] == [64, 64, 64, 8]
    assert tools[-1].texts[-1] == "get weather: Weather forecast for a city"
    assert [list(request.texts) for request in questions] == [["What is the weather in Oslo?"]]
    assert sample("moegate_encoder_requests_total", call="select", outcome="ok") == 5


@pytest.mark.parametrize(
    "overrides",
    [
        ON,
        {"tool_selection": {"enabled": True, "encoder": False}, "encoder": {"enabled": True}},
        {**ON, "encoder": {"enabled": True, "base": "pypi:another-model==1.0"}},
    ],
)
async def test_an_encoder_that_is_not_wanted_or_not_known_is_not_asked(
    http: httpx2.AsyncClient, experts: FakeExperts
) -> None:
    for _ in range(3):
        response = await http.post(CHAT, json=ask(50))
    assert not experts.encoder.requests
    assert "by=" not in response.headers["x-moegate-tool-selection"]
