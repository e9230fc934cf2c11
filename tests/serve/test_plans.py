"""Plans at both doors: asked for, whole and streamed, guarded, and carried out by the client that ships."""

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from moegate.client import HttpServer, Runner, tool
from protos import chat_pb2 as chat
from protos import expert_pb2
from protos import gateway_pb2 as gateway
from protos.gateway_pb2_grpc import GatewayStub
from serve.app import App
from tests.fakes.expert_server import FakeExperts
from tests.helpers import CHAT

FIND = {"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}
ASK: dict[str, Any] = {
    "model": "tool-caller",
    "messages": [{"role": "user", "content": "Find it twice"}],
    "tools": [FIND],
    "plan": True,
}


def delta(index: int, **fields: Any) -> chat.ToolCallDelta:
    return chat.ToolCallDelta(index=index, **fields)


PLAN = [
    delta(0, id="a", name="find"),
    delta(0, arguments='{"what": '),
    delta(0, arguments='"x"}'),
    delta(0, depends_on=chat.Dependencies()),
    delta(1, id="b", name="find"),
    delta(1, arguments='{"what": "$1.found"}'),
    delta(1, depends_on=chat.Dependencies(calls=[1])),
]


@pytest.fixture(autouse=True)
def planning(experts: FakeExperts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the tool-caller answer with a plan until it sees a result."""
    play = experts._play

    async def planned(script: Any, request: Any, context: Any) -> Any:
        has_result = request.conversation.messages[-1].role == chat.ROLE_TOOL
        async for chunk in play(script, request, context):
            if chunk.HasField("completion") and not has_result:
                for piece in PLAN:
                    yield expert_pb2.GenerateChunk(tool_calls=[piece], token_count=1)
                chunk.completion.finish_reason = chat.FINISH_REASON_TOOL_CALLS
            elif not has_result:
                chunk.text = ""
            yield chunk

    monkeypatch.setattr(experts, "_play", planned)


async def test_a_whole_plan(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    answer = (await http.post(CHAT, json=ASK)).json()
    calls = answer["choices"][0]["message"]["tool_calls"]
    assert [call["depends_on"] for call in calls] == [[], [1]]
    assert json.loads(calls[1]["function"]["arguments"]) == {"what": "$1.found"}
    assert experts["tool-caller"].requests[-1].conversation.plan is True


RULES = [
    {"name": "people", "find": {"kind": "personal_data", "entities": ["email"]}, "at": ["output"], "action": "mask"}
]


@pytest.fixture(params=["open", "guarded"])
def overrides(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """Every test goes through a guard once: it holds calls back until they are whole."""
    rules = tmp_path / "guard.yaml"
    rules.write_text(json.dumps({"rules": RULES}))
    return {} if request.param == "open" else {"guard": {"rules": rules}}


async def test_a_streamed_plan_tells_dependencies_with_each_step(http: httpx2.AsyncClient) -> None:
    stream = (await http.post(CHAT, json={**ASK, "stream": True})).text
    events = [json.loads(line[6:]) for line in stream.splitlines() if line.startswith("data: {")]
    pieces = [piece for event in events for piece in event["choices"][0]["delta"].get("tool_calls") or ()]
    told = [(piece["index"], piece["depends_on"]) for piece in pieces if "depends_on" in piece]
    assert told == [(0, []), (1, [1])]
    arguments = "".join(piece["function"].get("arguments", "") for piece in pieces if piece["index"] == 1)
    assert json.loads(arguments) == {"what": "$1.found"}
    places = [piece["index"] for piece in pieces]
    assert places == sorted(places)


async def test_grpc_has_it_too(stub: GatewayStub) -> None:
    talk = chat.Conversation(
        messages=[chat.Message(role=chat.ROLE_USER, content="Find it")], tools=[chat.Tool(name="find")], plan=True
    )
    whole = await stub.Complete(gateway.GenerateRequest(model="tool-caller", conversation=talk))
    assert [list(call.depends_on.calls) for call in whole.tool_calls] == [[], [1]]
    assert all(call.HasField("depends_on") for call in whole.tool_calls)


@pytest.mark.parametrize("more", [{"tools": []}, {"plan": "yes please"}])
async def test_what_is_wrong_is_refused_by_name(http: httpx2.AsyncClient, more: dict[str, Any]) -> None:
    refused = await http.post(CHAT, json={**ASK, **more})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "plan")


async def test_without_plan_nothing_is_added(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    await http.post(CHAT, json={**ASK, "plan": None})
    assert not experts["tool-caller"].requests[-1].conversation.HasField("plan")


async def test_the_client_carries_a_plan_out(app: App, experts: FakeExperts) -> None:
    asked: list[str] = []

    def find(what: str) -> dict[str, str]:
        """Find something."""
        asked.append(what)
        return {"found": f"{what}!"}

    server = HttpServer(f"http://{app.http_address}/v1")
    result = await Runner(server, [tool(find)], model="tool-caller", plan=True).run_async("Find it twice")
    assert asked == ["x", "x!"]
    assert result.is_answered and result.text
    history = experts["tool-caller"].requests[-1].conversation.messages
    assert [message.role for message in history[-2:]] == [chat.ROLE_TOOL, chat.ROLE_TOOL]
