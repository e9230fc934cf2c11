"""What is kept of a request, through real doors: who has agreed, what it says, and that it is redacted."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from protos import chat_pb2 as chat
from protos import gateway_pb2 as pb
from protos.gateway_pb2_grpc import GatewayStub
from serve.app import App
from serve.interactions import segments
from serve.interactions.stores import FolderStore
from serve.settings.access import KeySettings
from serve.settings.interactions import InteractionsSettings
from serve.settings.tree import Settings
from tests.fakes.expert_server import FakeExperts
from tests.helpers import until

ASK = {"model": "coder", "messages": [{"role": "user", "content": "Fix this Python function: def f(x) return x"}]}
PROPERTIES = {"to": {"type": "string"}, "phone": {"type": "integer"}}
TOOLS = [{"type": "function", "function": {"name": "mail", "parameters": {"type": "object", "properties": PROPERTIES}}}]
MAIL = {"name": "mail", "arguments": {"to": "jo@example.org", "phone": 15551234567}}


def kept(folder: Path) -> list[dict[str, Any]]:
    return list(segments.rows(FolderStore(folder)))


@pytest.fixture
async def rows(tmp_path: Path, sample: Callable[..., float]) -> Callable[[int], Any]:
    """Wait until so many records are there, and return them."""

    async def wait(count: int) -> list[dict[str, Any]]:
        await until(lambda: sample("moegate_interactions_total", outcome="kept") >= count)
        return kept(tmp_path / "kept")

    return wait


async def test_a_record_has_nvidias_fields_and_our_own(http: httpx2.AsyncClient, rows: Any) -> None:
    headers = {"x-moegate-workload": "tests"}
    answer = (await http.post("/v1/chat/completions", json=ASK | {"user": "u-1"}, headers=headers)).json()
    [row] = await rows(1)
    assert set(row) == {"timestamp", "workload_id", "client_id", "request", "response", "moegate"}
    assert abs(row["timestamp"] - time.time()) < 60
    assert (row["workload_id"], row["client_id"]) == ("tests", "")
    assert row["request"]["messages"] == ASK["messages"]
    assert row["response"]["id"] == answer["id"]
    assert row["response"]["choices"][0]["message"] == {"role": "assistant", "content": "Hello there!"}
    own = row["moegate"]
    assert own["expert"] == row["response"]["model"] == "coder"
    assert own["decision"]["reason"] == "pinned"
    assert set(own["decision"]["ranking"]) == {"researcher", "coder", "advisor", "tool-caller", "generalist"}
    assert own["cost_usd"] == answer["usage"]["cost_usd"]
    assert own["latency"]["duration_s"] >= own["latency"]["ttft_s"] > 0
    assert own["user"] and "u-1" not in str(row)
    assert len(own["conversation"]) == 32


async def test_every_door_leaves_the_same_form(http: httpx2.AsyncClient, stub: GatewayStub, rows: Any) -> None:
    words = "Fix this Python function"
    await http.post(
        "/v1/messages", json={"model": "coder", "max_tokens": 9, "messages": [{"role": "user", "content": words}]}
    )
    await http.post("/v1/responses", json={"model": "coder", "input": words})
    talk = chat.Conversation(messages=[chat.Message(role=chat.ROLE_USER, content=words)])
    _ = [chunk async for chunk in stub.Generate(pb.GenerateRequest(model="coder", conversation=talk))]
    async with http.stream(
        "POST",
        "/v1/chat/completions",
        json={"model": "coder", "stream": True, "messages": [{"role": "user", "content": words}]},
    ) as answer:
        await answer.aread()
    found = await rows(4)
    assert {row["moegate"]["door"] for row in found} == {"messages", "responses", "grpc", "http"}
    assert {row["request"]["messages"][0]["content"] for row in found} == {words}
    assert {row["response"]["choices"][0]["message"]["content"] for row in found} == {"Hello there!"}
    assert len({row["moegate"]["conversation"] for row in found}) == 1


async def test_who_says_no_is_not_kept(http: httpx2.AsyncClient, stub: GatewayStub, rows: Any) -> None:
    url = "/v1/chat/completions"
    await http.post(url, json=ASK | {"store": False})
    await http.post(url, json=ASK, headers={"x-moegate-store": "false"})
    await http.post(url, json=ASK | {"store": True}, headers={"x-moegate-store": "false"})
    await http.post("/v1/responses", json={"model": "coder", "input": "x", "store": False})
    talk = chat.Conversation(messages=[chat.Message(role=chat.ROLE_USER, content="x")])
    request = pb.GenerateRequest(model="coder", conversation=talk)
    await stub.Complete(request, metadata=(("x-moegate-store", "false"),))
    last = (await http.post(url, json=ASK | {"store": True})).json()
    assert [row["response"]["id"] for row in await rows(1)] == [last["id"]]
    wrong = await http.post(url, json=ASK, headers={"x-moegate-store": "perhaps"})
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "x-moegate-store")
    wrong = await http.post(url, json=ASK, headers={"x-moegate-workload": "a b"})
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "x-moegate-workload")


async def test_failures_are_no_interactions(http: httpx2.AsyncClient, experts: FakeExperts, rows: Any) -> None:
    experts["coder"].break_after = 1
    assert (await http.post("/v1/chat/completions", json=ASK)).status_code != 200
    experts["coder"].break_after = None
    await http.post("/v1/chat/completions", json=ASK)
    assert len(await rows(1)) == 1


async def test_what_is_kept_is_redacted(
    http: httpx2.AsyncClient, experts: FakeExperts, rows: Any, sample: Callable[..., float]
) -> None:
    experts["tool-caller"].words = [f"<tool_call>{json.dumps(MAIL)}</tool_call>"]
    said = "Mail jo@example.org, my card is 4111 1111 1111 1111, phone 1 (555) 123-4567, password=hunter2horse"
    body = {
        "model": "tool-caller",
        "messages": [{"role": "user", "content": said}],
        "tools": TOOLS,
        "documents": [{"text": "write to sam@example.org", "url": "https://example.org/?mail=sam@example.org"}],
    }
    await http.post("/v1/chat/completions", json=body)
    [row] = await rows(1)
    text = str(row)
    for secret in ("jo@example", "sam@example", "4111", "123-4567", "1234567", "hunter2"):
        assert secret not in text
    assert row["request"]["messages"][0]["content"].startswith("Mail <EMAIL_1>, my card is <CARD_1>, phone <PHONE_1>")
    assert row["request"]["documents"][0]["text"] == "write to <EMAIL_2>"
    assert row["moegate"]["redacted"]["EMAIL"] >= 3
    assert sample("moegate_interaction_redactions_total", entity="EMAIL") == row["moegate"]["redacted"]["EMAIL"]
    call = row["response"]["choices"][0]["message"]["tool_calls"][0]
    assert call["function"]["name"] == "mail"
    assert "<EMAIL_1>" in call["function"]["arguments"]
    assert json.loads(call["function"]["arguments"])["to"] == "<EMAIL_1>"  # a masked number leaves it JSON
    assert sum(row["moegate"]["tool_calls"].values()) == 1


async def test_a_plan_is_kept_as_one(http: httpx2.AsyncClient, experts: FakeExperts, rows: Any) -> None:
    steps = [{"id": 1, **MAIL, "arguments": {"to": "a"}}, {"id": 2, **MAIL, "arguments": {"to": "$1.sender"}}]
    experts["tool-caller"].words = ["\n".join(f"<tool_call>{json.dumps(step)}</tool_call>" for step in steps)]
    body = {"model": "tool-caller", "messages": [{"role": "user", "content": "Mail it on"}], "tools": TOOLS}
    await http.post("/v1/chat/completions", json={**body, "plan": True})
    await http.post("/v1/chat/completions", json={**body, "plan": False})
    plan, plain = await rows(2)
    assert plan["request"]["plan"] is True
    calls = plan["response"]["choices"][0]["message"]["tool_calls"]
    assert [call["depends_on"] for call in calls] == [[], [1]]
    assert "plan" not in plain["request"]
    assert all("depends_on" not in call for call in plain["response"]["choices"][0]["message"]["tool_calls"])


SECRET = "mg-" + "a" * 43
DIGEST = hashlib.sha256(SECRET.encode()).hexdigest()


KEYS = [{"name": "alice", "sha256": DIGEST}, {"name": "bob", "sha256": "b" * 64}]
WHO = {
    "has agreed": ({"keys": ["alice"]}, 1),
    "another has": ({"keys": ["bob"]}, 0),
    "another expert's": ({"keys": ["alice"], "experts": ["advisor"]}, 0),
    "not of the sample": ({"keys": ["alice"], "sample": 1e-9}, 0),
}


@pytest.mark.parametrize(("choice", "count"), WHO.values(), ids=WHO)
async def test_only_who_has_agreed_is_kept(
    settings: Settings, tmp_path: Path, choice: dict[str, Any], count: int
) -> None:
    interactions = InteractionsSettings(target=str(tmp_path / "kept"), **choice)
    access = settings.access.model_copy(update={"keys": tuple(map(KeySettings.model_validate, KEYS))})
    app = App(settings.model_copy(update={"interactions": interactions, "access": access}))
    await app.start()
    async with httpx2.AsyncClient(base_url=f"http://{app.http_address}", timeout=60) as http:
        answer = await http.post("/v1/chat/completions", json=ASK, headers={"authorization": f"Bearer {SECRET}"})
    await app.stop()
    assert answer.status_code == 200
    assert [row["client_id"] for row in kept(tmp_path / "kept")] == ["alice"] * count


@pytest.mark.parametrize("overrides", [{}], ids=["default"])
async def test_nothing_is_kept_unless_asked_for(app: App, overrides: dict[str, Any]) -> None:
    assert app._interactions is None
