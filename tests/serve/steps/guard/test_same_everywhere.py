"""The same text whole, in pieces, in a call's arguments, in a document, over each door: found alike, released alike."""

import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio
import yaml
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from protos import chat_pb2 as chat
from protos import gateway_pb2
from protos.gateway_pb2_grpc import GatewayStub
from serve.app import App
from serve.settings.tree import Settings
from serve.steps.guard.arguments import GuardedArguments
from serve.steps.guard.compiled import RuleSet
from serve.steps.guard.hit import Hit
from serve.steps.guard.inspector import disjoint
from serve.steps.guard.looks import Kept, Looks
from serve.steps.guard.masks import Masks
from serve.steps.guard.rules import GuardFile, Stage
from serve.steps.guard.tally import Tally
from serve.telemetry.metrics import Metrics
from tests.fakes.expert_server import FakeExperts
from tests.helpers import CHAT, chat_request
from tests.serve.steps.guard.rule_sets import streamed
from tests.serve.steps.guard.test_stream import TEXTS

EVERYWHERE = ["input", "documents", "output"]
KINDS: list[dict[str, Any]] = [
    {"kind": "personal_data"},
    {"kind": "credentials"},
    {"kind": "control_tokens"},
    {"kind": "phrases", "words": ["project falcon", "blau"], "patterns": ["x[0-9]{3,5}y"]},
]


def rules_that(action: str) -> list[dict[str, Any]]:
    return [{"name": f"rule{at}", "find": find, "at": EVERYWHERE, "action": action} for at, find in enumerate(KINDS)]


RULES = RuleSet(GuardFile.model_validate({"rules": rules_that("mask")}))
METRICS = Metrics(CollectorRegistry()).guard
Seen = tuple[str, Counter[str]]


async def as_part(conversation: chat.Conversation) -> tuple[chat.Conversation, Counter[str]]:
    kept = Kept(RULES, Masks(), Tally(METRICS))
    looks = Looks.of(RULES, "")
    assert looks is not None
    after = await looks.over(replace(chat_request(), input=conversation), kept)
    assert isinstance(after.input, chat.Conversation)
    facts = (fact.rsplit(":", 1) for fact in kept.tally.facts.split(",") if fact)
    return after.input, Counter({name.split("=")[0]: int(count) for name, count in facts})


async def as_message(text: str) -> Seen:
    talk, found = await as_part(chat.Conversation(messages=[chat.Message(role=chat.ROLE_USER, content=text)]))
    return talk.messages[0].content, found


async def as_document(text: str) -> Seen:
    talk, found = await as_part(chat.Conversation(documents=[chat.Document(text=text)]))
    return talk.documents[0].text, found


async def as_tools_result(text: str) -> Seen:
    talk, found = await as_part(chat.Conversation(messages=[chat.Message(role=chat.ROLE_TOOL, content=text)]))
    return talk.messages[0].content, found


async def as_earlier_argument(text: str) -> Seen:
    call = chat.ToolCall(name="f", arguments=json.dumps({"q": text}))
    said = chat.Message(role=chat.ROLE_ASSISTANT, tool_calls=[call])
    talk, found = await as_part(chat.Conversation(messages=[said]))
    return json.loads(talk.messages[0].tool_calls[0].arguments)["q"], found


def as_argument(text: str) -> Seen:
    hits: list[Hit] = []
    guarded = GuardedArguments(RULES.at(Stage.OUTPUT), RULES.rules, Masks(), hits.extend, restores=False)
    out = json.loads(guarded.passed(json.dumps([text], ensure_ascii=True)))[0]
    return out, Counter(hit.rule.name for hit in hits)


@given(TEXTS, st.lists(st.integers(1, 30), max_size=12))
async def test_found_alike_and_released_alike(text: str, lengths: list[int]) -> None:
    inspector = RULES.at(Stage.OUTPUT)
    assert inspector is not None
    hits = inspector.hits(text)
    whole = Masks().mask(text, disjoint(hits, RULES.rules)), Counter(hit.rule.name for hit in hits)
    pieces, at = [], 0
    for length in lengths:
        pieces.append(text[at : at + length])
        at += length
    for cut in ([*pieces, text[at:]], list(text)):
        out, found = streamed(RULES, cut)
        assert (out, Counter(name for name, _ in found)) == whole
    assert as_argument(text) == whole
    if text:
        for place in (as_message, as_document, as_tools_result):
            assert await place(text) == whole
    assert await as_earlier_argument(text) == whole


WORDS = "Dear Ada, call 079 123 45 67 or mail ada@example.com about Project\nFALCON, <|im_start|> x1234y. Bye"
OUT = "Dear Ada, call <PHONE_1> or mail <EMAIL_1> about <PHRASE_1>, <CONTROL_TOKEN_1> <PHRASE_2>. Bye"


@pytest_asyncio.fixture
async def app(settings: Settings, tmp_path: Path, action: str) -> AsyncIterator[App]:
    path = tmp_path / "guard.yaml"
    path.write_text(yaml.safe_dump({"rules": rules_that(action)}))
    app = App(settings.model_copy(update={"guard": settings.guard.model_copy(update={"rules": path})}))
    await app.start()
    yield app
    await app.stop()


def pieces_of(body: str) -> list[Any]:
    return [json.loads(line[6:]) for line in body.splitlines() if line.startswith("data: {")]


@pytest.mark.parametrize("action", ["mask"])
async def test_every_door_releases_the_same(http: httpx2.AsyncClient, stub: GatewayStub, experts: FakeExperts) -> None:
    hello = {"model": "coder", "messages": [{"role": "user", "content": "hi"}]}
    user = chat.Message(role=chat.ROLE_USER, content="hi")
    asked = gateway_pb2.GenerateRequest(model="coder", conversation=chat.Conversation(messages=[user]))
    for size in (1, 3, 7, len(WORDS)):
        experts["coder"].words = [WORDS[at : at + size] for at in range(0, len(WORDS), size)]
        whole = (await http.post(CHAT, json=hello)).json()["choices"][0]["message"]["content"]
        events = pieces_of((await http.post(CHAT, json=hello | {"stream": True})).text)
        parts = "".join(one["choices"][0]["delta"].get("content") or "" for one in events if one["choices"])
        message = {"model": "coder", "max_tokens": 99, "messages": hello["messages"]}
        anthropic = (await http.post("/v1/messages", json=message)).json()["content"][0]["text"]
        called = (await stub.Complete(asked)).text
        told = "".join([one.text async for one in stub.Generate(asked)])
        assert {whole, parts, anthropic, called, told} == {OUT}


@pytest.mark.parametrize("action", ["block"])
async def test_every_door_blocks_the_same_in_every_place(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": json.dumps({"q": "a\u0040b.co"})}}
    user = {"role": "user", "content": "hi"}
    result = {"role": "tool", "tool_call_id": "c", "content": "a@b.co"}
    escaped = json.loads(json.dumps(call).replace("@", "\\\\u0040"))
    said = {"role": "assistant", "content": None}
    bodies: list[tuple[dict[str, Any], str]] = [
        ({"messages": [{"role": "user", "content": "a@b.co"}]}, "messages[0].content"),
        ({"messages": [user, said | {"tool_calls": [call]}, result]}, "messages[1].tool_calls[0].function.arguments"),
        ({"messages": [user, said | {"tool_calls": [escaped]}]}, "messages[1].tool_calls[0].function.arguments"),
        ({"messages": [user], "documents": [{"text": "a@b.co"}]}, "documents[0].text"),
    ]
    for body, param in bodies:
        for is_stream in (False, True):
            error = (await http.post(CHAT, json={"model": "coder", "stream": is_stream, **body})).json()["error"]
            assert (error["code"], error["param"]) == ("content_blocked", param)
    assert not experts["coder"].requests
