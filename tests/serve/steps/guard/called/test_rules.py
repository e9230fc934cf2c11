"""Called rules behind both doors: verdicts, deadlines, circuits, and what happens where there is no verdict."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc.aio
import httpx2
import pytest
import pytest_asyncio
import yaml

from protos import chat_pb2, gateway_pb2
from protos.gateway_pb2_grpc import GatewayStub
from serve.app import App
from serve.settings.tree import Settings
from serve.steps.guard.called.forms import Asked, CallFailed
from serve.steps.guard.called.rules import CircuitOpen, Service
from serve.steps.guard.rules import GuardFile, GuardFileError
from tests.fakes.expert_server import FakeExperts
from tests.helpers import CHAT, until
from tests.serve.steps.guard.called.judge_server import JudgeServer, judge_server


def flags(asked: dict[str, Any]) -> dict[str, Any]:
    return {"flagged": "bad" in asked["text"], "reason": "badness"}


def rule(url: str, **fields: Any) -> dict[str, Any]:
    find = {"kind": "service", "form": "json", "url": url, "deadline_ms": 5000, **fields.pop("find", {})}
    return {"name": "judge", "find": find, "at": ["input"], "action": "block", **fields}


def service(url: str, **find: Any) -> Service:
    made = GuardFile.model_validate({"rules": [rule(url, find=find)]}).rules[0]
    assert made.find.kind == "service"
    return Service(made, made.find)


@pytest_asyncio.fixture
async def judge() -> AsyncIterator[JudgeServer]:
    async with judge_server(flags) as server:
        yield server


@pytest.fixture
def rules(judge: JudgeServer) -> list[dict[str, Any]]:
    return [rule(judge.url)]


@pytest_asyncio.fixture
async def app(settings: Settings, tmp_path: Path, rules: list[dict[str, Any]]) -> AsyncIterator[App]:
    path = tmp_path / "guard.yaml"
    path.write_text(yaml.safe_dump({"rules": rules}))
    app = App(settings.model_copy(update={"guard": settings.guard.model_copy(update={"rules": path})}))
    await app.start()
    yield app
    await app.stop()


def asked(text: str, **fields: Any) -> dict[str, Any]:
    return {"model": "coder", "messages": [{"role": "user", "content": text}], **fields}


@pytest.mark.parametrize("is_stream", [False, True])
async def test_a_verdict_blocks_and_the_text_is_in_no_log(
    http: httpx2.AsyncClient, experts: FakeExperts, is_stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    response = await http.post(CHAT, json=asked("a bad thing", stream=is_stream))
    assert (response.status_code, response.json()["error"]["code"]) == (400, "content_blocked")
    assert response.json()["error"]["param"] == "messages[0].content"
    assert not experts["coder"].requests
    assert "a bad thing" not in caplog.text + response.text
    assert (await http.post(CHAT, json=asked("a good thing", stream=is_stream))).status_code == 200
    assert (await http.post("/v1/guard", json={"text": "bad"})).json()["hits"][0]["why"] == "badness"


async def test_grpc_likewise(stub: GatewayStub) -> None:
    words = chat_pb2.Message(role=chat_pb2.ROLE_USER, content="a bad thing")
    request = gateway_pb2.GenerateRequest(model="coder", conversation=chat_pb2.Conversation(messages=[words]))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Complete(request)
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION


@pytest.mark.parametrize("fail", ["open", "closed"])
async def test_without_a_verdict_the_rule_says_what_follows(
    settings: Settings, tmp_path: Path, experts: FakeExperts, fail: str
) -> None:
    async with judge_server(flags, status=503) as broken:
        path = tmp_path / "guard.yaml"
        path.write_text(yaml.safe_dump({"rules": [rule(broken.url, fail=fail)]}))
        app = App(settings.model_copy(update={"guard": settings.guard.model_copy(update={"rules": path})}))
        await app.start()
        try:
            async with httpx2.AsyncClient(base_url=f"http://{app.http_address}") as http:
                response = await http.post(CHAT, json=asked("hello"))
                metrics = (await http.get("/metrics")).text
        finally:
            await app.stop()
    assert response.status_code == (200 if fail == "open" else 400)
    assert f'moegate_guard_failures_total{{fail="{fail}",rule="judge"}} 1.0' in metrics


class TestPresidio:
    @pytest_asyncio.fixture
    async def judge(self) -> AsyncIterator[JudgeServer]:
        def spans(asked: dict[str, Any]) -> list[dict[str, Any]]:
            at = asked["text"].find("Ada")
            return [] if at < 0 else [{"entity_type": "PERSON", "start": at, "end": at + 3, "score": 0.9}]

        async with judge_server(spans) as server:
            yield server

    @pytest.fixture
    def rules(self, judge: JudgeServer) -> list[dict[str, Any]]:
        masking = rule(judge.url, find={"form": "presidio"}, action="mask", restore=True)
        return [masking, {"name": "mail", "find": {"kind": "personal_data"}, "at": ["input"], "action": "mask"}]

    async def test_what_it_finds_is_masked_and_restored(self, http: httpx2.AsyncClient, experts: FakeExperts) -> None:
        experts["coder"].words = ["Dear", " <PERSON_1>"]
        answer = await http.post(CHAT, json=asked("Write to Ada, a@b.co"))
        assert experts["coder"].requests[0].conversation.messages[-1].content == "Write to <PERSON_1>, <EMAIL_1>"
        assert answer.json()["choices"][0]["message"]["content"] == "Dear Ada"


async def test_a_deadline_and_a_circuit() -> None:
    async with judge_server(flags, wait_s=30) as slow:
        one = service(slow.url, deadline_ms=50, circuit_failures=2, circuit_open_s=1000)
        for _ in range(2):
            with pytest.raises(CallFailed, match="deadline"):
                await one.judge(Asked("a", "user"))
        with pytest.raises(CircuitOpen):
            await one.judge(Asked("a", "user"))
        assert len(slow.asked) == 2
        await one.close()


async def test_a_circuit_closes_again() -> None:
    now = [0.0]
    async with judge_server(flags, status=500) as judge:
        made = GuardFile.model_validate({"rules": [rule(judge.url, find={"circuit_failures": 1})]}).rules[0]
        assert made.find.kind == "service"
        one = Service(made, made.find, lambda: now[0])
        with pytest.raises(CallFailed, match="500"):
            await one.judge(Asked("a", "user"))
        judge.status, now[0] = 200, 6.0
        assert (await one.judge(Asked("bad", "user"))).why == "badness"
        assert (await one.judge(Asked("fine", "user"))).why is None
        await one.close()


async def test_a_client_that_leaves_says_nothing_about_the_service() -> None:
    async with judge_server(flags, wait_s=30) as slow:
        one = service(slow.url, circuit_failures=1)
        task = asyncio.create_task(one.judge(Asked("a", "user")))
        await until(lambda: slow.asked)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert one.circuit.enter()
        await one.close()


def test_a_key_out_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GUARD_KEY", raising=False)
    with pytest.raises(GuardFileError, match="GUARD_KEY"):
        service("http://127.0.0.1:1", key_env="GUARD_KEY")


def test_an_address_that_cannot_be_read_and_a_client_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(GuardFileError, match="rule judge: its url cannot be read"):
        service("http://[::")
    monkeypatch.setitem(sys.modules, "serve.steps.guard.called.json_client", None)
    with pytest.raises(GuardFileError, match=r"pip install 'moegate\[guard\]'"):
        service("http://127.0.0.1:1")


async def test_only_users_turns_and_documents_are_sent(http: httpx2.AsyncClient, judge: JudgeServer) -> None:
    messages = [
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "yes"},
        {"role": "user", "content": "two"},
    ]
    assert (await http.post(CHAT, json={"model": "coder", "messages": messages})).status_code == 200
    assert sorted(asked["text"] for asked in judge.asked) == ["one", "two"]
    assert json.dumps(judge.asked).count("user") == 2
