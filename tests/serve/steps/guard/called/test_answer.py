"""Services asked about answers: whole and streamed, over both doors, masked, blocked, late, and not answering."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc.aio
import httpx2
import pytest
import pytest_asyncio
import yaml
from prometheus_client import CollectorRegistry

from protos import chat_pb2, gateway_pb2
from protos import expert_pb2 as pb
from protos.gateway_pb2_grpc import GatewayStub
from serve.app import App
from serve.settings.tree import Settings
from serve.steps.guard.called.answer import JudgedAnswer, Services
from serve.steps.guard.called.rules import CalledRules
from serve.steps.guard.compiled import RuleSet
from serve.steps.guard.masks import Masks
from serve.steps.guard.rules import GuardFile
from serve.steps.guard.tally import Tally
from serve.telemetry.metrics import Metrics
from tests.fakes.expert_server import FakeExperts
from tests.helpers import CHAT
from tests.serve.steps.guard.called.judge_server import JudgeServer, judge_server
from tests.serve.steps.guard.timers import FakeTimers

LONG = "One two three four five six seven. " * 12  # 420 characters
CALL = '<tool_call>{"name": "send", "arguments": {"to": "Ada L.", "note": "to Ada", "n": 3}}</tool_call>'
TOOL = {"type": "function", "function": {"name": "send", "parameters": {"type": "object", "properties": {}}}}


def flags(asked: dict[str, Any]) -> Any:
    return {"flagged": "bad" in asked["text"], "reason": "badness"}


def spans(asked: dict[str, Any]) -> Any:
    found, at = [], asked["text"].find("Ada")
    while at >= 0:
        found.append({"entity_type": "PERSON", "start": at, "end": at + 3})
        at = asked["text"].find("Ada", at + 1)
    return found


def rule(url: str, form: str = "json", **fields: Any) -> dict[str, Any]:
    find = {"kind": "service", "form": form, "url": url, "deadline_ms": 5000, "window_chars": 128}
    return {"name": "judge", "find": find | fields.pop("find", {}), "at": ["output"], "action": "block", **fields}


@pytest_asyncio.fixture
async def judge() -> AsyncIterator[JudgeServer]:
    async with judge_server(flags) as server:
        yield server


@pytest.fixture
def rules(judge: JudgeServer) -> list[dict[str, Any]]:
    return [rule(judge.url)]


@pytest.fixture
def hold_ms() -> float:
    return 60_000.0


@pytest_asyncio.fixture
async def app(settings: Settings, tmp_path: Path, rules: list[dict[str, Any]], hold_ms: float) -> AsyncIterator[App]:
    path = tmp_path / "guard.yaml"
    path.write_text(yaml.safe_dump({"rules": rules, "hold_ms": hold_ms}))
    app = App(settings.model_copy(update={"guard": settings.guard.model_copy(update={"rules": path})}))
    await app.start()
    yield app
    await app.stop()


def asked(**fields: Any) -> dict[str, Any]:
    return {"model": "coder", "messages": [{"role": "user", "content": "Say it"}], **fields}


def hello() -> gateway_pb2.GenerateRequest:
    words = chat_pb2.Message(role=chat_pb2.ROLE_USER, content="Say it")
    return gateway_pb2.GenerateRequest(model="coder", conversation=chat_pb2.Conversation(messages=[words]))


def events(body: str) -> list[Any]:
    return [json.loads(line[6:]) for line in body.splitlines() if line.startswith("data: {")]


def said(body: str) -> str:
    return "".join(event["choices"][0]["delta"].get("content") or "" for event in events(body) if event["choices"])


async def read(stub: GatewayStub, told: list[str]) -> None:
    async for message in stub.Generate(hello()):
        told.append(message.text)  # noqa: PERF401  # what came before it fails counts


async def test_a_flagged_answer_is_blocked_on_both_doors_whole_and_streamed(
    http: httpx2.AsyncClient, stub: GatewayStub, experts: FakeExperts, caplog: pytest.LogCaptureFixture
) -> None:
    experts["coder"].words = ["a ", "b", "ad", " thing"]
    whole = await http.post(CHAT, json=asked())
    assert (whole.status_code, whole.json()["error"]["code"]) == (400, "content_blocked")
    streamed = await http.post(CHAT, json=asked(stream=True))
    assert said(streamed.text) == ""
    assert "content_blocked" in streamed.text or "content_filter" in streamed.text
    told: list[str] = []
    for call in (stub.Complete(hello()), read(stub, told)):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "".join(told) == ""
    assert "bad" not in (caplog.text + whole.text + streamed.text).replace("badness", "")


async def test_a_stream_goes_on_window_by_window_and_ends_where_it_turns_bad(
    http: httpx2.AsyncClient, judge: JudgeServer, experts: FakeExperts
) -> None:
    experts["coder"].words = [*LONG, *" This is bad."]
    body = (await http.post(CHAT, json=asked(stream=True))).text
    assert said(body) == LONG[:384]  # three windows; the fourth has the word
    assert events(body)[-1]["choices"][0]["finish_reason"] == "content_filter"
    assert [len(one["text"]) for one in judge.asked] == [128, 256, 384, len(LONG) + 13]
    assert {one["role"] for one in judge.asked} == {"assistant"}


async def test_the_same_is_asked_and_goes_out_however_the_answer_comes(
    http: httpx2.AsyncClient, stub: GatewayStub, judge: JudgeServer, experts: FakeExperts
) -> None:
    heard = []
    for size in (1, 7, 200, 1000):
        experts["coder"].words = [LONG[at : at + size] for at in range(0, len(LONG), size)]
        assert (await http.post(CHAT, json=asked())).json()["choices"][0]["message"]["content"] == LONG
        assert said((await http.post(CHAT, json=asked(stream=True))).text) == LONG
        assert "".join([one.text async for one in stub.Generate(hello())]) == LONG
        heard.append([one["text"] for one in judge.asked])
        judge.asked.clear()
    assert all(one == heard[0] for one in heard)


class TestMasks:
    @pytest_asyncio.fixture
    async def judge(self) -> AsyncIterator[JudgeServer]:
        async with judge_server(spans) as server:
            yield server

    @pytest.fixture
    def rules(self, judge: JudgeServer) -> list[dict[str, Any]]:
        mail = {"name": "mail", "find": {"kind": "personal_data"}, "at": ["output"], "action": "mask"}
        return [rule(judge.url, "presidio", action="mask"), mail]

    @pytest.mark.parametrize("before", [60, 63, 64, 126, 127, 128, 190])
    async def test_a_place_is_masked_wherever_it_stands(
        self, http: httpx2.AsyncClient, experts: FakeExperts, before: int
    ) -> None:
        text = "x" * (before - 1) + " Ada, a@b.co" + " y" * 100
        out = "x" * (before - 1) + " <PERSON_1>, <EMAIL_1>" + " y" * 100
        experts["coder"].words = [text[at : at + 5] for at in range(0, len(text), 5)]
        assert said((await http.post(CHAT, json=asked(stream=True))).text) == out
        assert (await http.post(CHAT, json=asked())).json()["choices"][0]["message"]["content"] == out

    async def test_a_calls_arguments_are_masked_and_stay_json(
        self, http: httpx2.AsyncClient, experts: FakeExperts
    ) -> None:
        experts["coder"].words = list(CALL)
        body = asked(tools=[TOOL], tool_choice="auto")
        [call] = (await http.post(CHAT, json=body)).json()["choices"][0]["message"]["tool_calls"]
        wanted = {"to": "<PERSON_1> L.", "note": "to <PERSON_1>", "n": 3}
        assert json.loads(call["function"]["arguments"]) == wanted

    async def test_citations_point_to_the_text_that_went_out(
        self, http: httpx2.AsyncClient, experts: FakeExperts
    ) -> None:
        experts["coder"].words = ["Ask", " Ada", " or", " read", " [1]", "."]
        documents = [{"title": "T", "text": "Hello", "url": "https://example.com"}]
        message = (await http.post(CHAT, json=asked(documents=documents))).json()["choices"][0]["message"]
        [citation] = [annotation["url_citation"] for annotation in message["annotations"]]
        assert message["content"] == "Ask <PERSON_1> or read [1]."
        assert message["content"][citation["start_index"] : citation["end_index"]] == "[1]"


@pytest.mark.parametrize(("fail", "status"), [("open", 200), ("closed", 400)])
async def test_without_a_verdict_the_rule_says_what_follows(
    settings: Settings, tmp_path: Path, experts: FakeExperts, fail: str, status: int
) -> None:
    async with judge_server(flags, status=503) as broken:
        path = tmp_path / "guard.yaml"
        path.write_text(yaml.safe_dump({"rules": [rule(broken.url, fail=fail)]}))
        app = App(settings.model_copy(update={"guard": settings.guard.model_copy(update={"rules": path})}))
        await app.start()
        try:
            async with httpx2.AsyncClient(base_url=f"http://{app.http_address}") as http:
                response = await http.post(CHAT, json=asked())
                streamed = await http.post(CHAT, json=asked(stream=True))
                metrics = (await http.get("/metrics")).text
        finally:
            await app.stop()
    assert response.status_code == status
    assert said(streamed.text) == ("Hello there!" if fail == "open" else "")
    assert f'moegate_guard_failures_total{{fail="{fail}",rule="judge"}} 2.0' in metrics
    assert 'moegate_guard_call_seconds_count{rule="judge"} 2.0' in metrics


class TestTime:
    @pytest.fixture
    def hold_ms(self) -> float:
        return 50.0

    async def test_a_stream_that_stops_is_judged_as_it_stands_and_goes_on(
        self, stub: GatewayStub, judge: JudgeServer, experts: FakeExperts
    ) -> None:
        goes_on = asyncio.Event()
        experts["coder"].words, experts["coder"].pauses = ["Fine ", "so far", " and on"], {2: goes_on}
        out = ""
        async for message in stub.Generate(hello()):
            out += message.text
            if out == "Fine so far":  # without a bound the window would wait for more
                goes_on.set()
        assert out == "Fine so far and on"
        assert judge.asked[-1]["text"] == out


@asynccontextmanager
async def judged(url: str, clock: FakeTimers, **fields: Any) -> AsyncIterator[JudgedAnswer]:
    made = RuleSet(GuardFile.model_validate({"rules": [rule(url, **fields)]}))
    called = made.asked_about_answers("", "coder")
    assert isinstance(called, CalledRules)
    tally = Tally(Metrics(CollectorRegistry()).guard)
    yield JudgedAnswer(Services(called, made.rules, "Say it"), Masks(), tally, clock=clock.time)
    await made.close()


async def test_tokens_are_neither_lost_nor_counted_twice_and_age_is_the_texts(judge: JudgeServer) -> None:
    async with judged(judge.url, FakeTimers(), action="monitor") as answer:
        passed = [await answer.passed(pb.GenerateChunk(text="abcd" * 8, token_count=1), since=1.0) for _ in range(5)]
        assert [one and (len(one.text), one.token_count) for one in passed] == [None, None, None, (128, 4), None]
        assert answer.held_since == 1.0
        rest = await answer.released(None)
        assert rest is not None
        assert (rest.text, rest.token_count) == ("abcd" * 8, 1)
        assert answer.held_since is None


async def test_a_verdict_that_stands_is_counted_once(judge: JudgeServer) -> None:
    async with judged(judge.url, FakeTimers(), action="monitor") as answer:
        out = await answer.passed(pb.GenerateChunk(text="bad " * 160))
        assert out is not None
        assert (await answer.released(out)) is out
        assert out.text == "bad " * 160
        assert answer._tally.facts == "judge=monitor:1"


def test_who_is_asked_about_whose_answers() -> None:
    made = RuleSet(GuardFile.model_validate({"rules": [rule("http://x", experts=["coder"], keys=["a"])]}))
    assert made.asked_about_answers("a", "coder") is not None
    assert made.asked_about_answers("a", "advisor") is None
    assert made.asked_about_answers("b", "coder") is None
    assert made.changes_answers
