"""Steps: one that refuses, one that changes request and answer, and what a list of them does in which order."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from protos import chat_pb2 as chat
from protos import expert_pb2 as pb
from serve.app import App
from serve.errors import InvalidRequest
from serve.request import ChatRequest
from serve.settings.tree import Settings
from serve.steps.step import NO_STEPS, Step, Steps, Wake
from serve.telemetry.record import RequestRecord
from tests.fakes.expert_server import FakeExperts
from tests.helpers import CHAT, chat_request, chunk, route_decision, routed_record

ASKED: dict[str, Any] = {"model": "coder", "messages": [{"role": "user", "content": "Fix this"}]}


class Refuse(Step):
    """Refuses a word."""

    async def prepare(self, request: ChatRequest, record: RequestRecord) -> ChatRequest:
        assert isinstance(request.input, chat.Conversation)
        if any("forbidden" in message.content for message in request.input.messages):
            raise InvalidRequest("'messages' holds a word that is not allowed", param="messages")
        return request


class Shout(Step):
    """Marks the request, and answers in capitals."""

    def __init__(self, mark: str) -> None:
        self._mark = mark

    async def prepare(self, request: ChatRequest, record: RequestRecord) -> ChatRequest:
        assert isinstance(request.input, chat.Conversation)
        talk = chat.Conversation()
        talk.CopyFrom(request.input)
        talk.messages[-1].content += self._mark
        return replace(request, input=talk)

    async def present(
        self, chunks: AsyncIterator[pb.GenerateChunk], request: ChatRequest, record: RequestRecord, wake: Wake
    ) -> AsyncIterator[pb.GenerateChunk]:
        async for one in chunks:
            one.text = one.text.upper() + self._mark
            yield one


def awake() -> None:
    """Nobody waits here."""


async def stream(*texts: str) -> AsyncIterator[pb.GenerateChunk]:
    for text in texts:
        yield chunk(text)


async def test_an_empty_list_hands_on_what_it_was_given() -> None:
    record = routed_record(route_decision("coder"))
    request, chunks = chat_request(), stream("a")
    assert await NO_STEPS.prepare(request, record) is request
    assert NO_STEPS.present(chunks, request, record, awake) is chunks


async def test_a_step_that_does_nothing_hands_on_what_it_was_given() -> None:
    record = routed_record(route_decision("coder"))
    request, chunks = chat_request(), stream("a")
    assert await Step().prepare(request, record) is request
    assert Step().present(chunks, request, record, awake) is chunks


async def test_the_outermost_prepares_first_and_presents_last() -> None:
    record = routed_record(route_decision("coder"))
    steps = Steps([Shout("<"), Shout(">")])
    request = await steps.prepare(chat_request("hi"), record)
    assert isinstance(request.input, chat.Conversation)
    assert request.input.messages[-1].content == "hi<>"
    assert [one.text async for one in steps.present(stream("a", "b"), request, record, awake)] == ["A><", "B><"]


@pytest_asyncio.fixture
async def app(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[App]:
    monkeypatch.setattr("serve.app.build_steps", lambda *_, **__: Steps([Refuse(), Shout("!")]))
    app = App(settings)
    await app.start()
    yield app
    await app.stop()


@pytest.mark.parametrize("is_stream", [False, True])
async def test_a_refusal_reaches_the_client_and_nobody_is_asked(
    http: httpx2.AsyncClient, experts: FakeExperts, is_stream: bool
) -> None:
    messages = [{"role": "user", "content": "a forbidden word"}]
    refused = await http.post(CHAT, json={**ASKED, "messages": messages, "stream": is_stream})
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "messages"
    assert not experts["coder"].requests


@pytest.mark.parametrize("is_stream", [False, True])
async def test_a_changed_request_reaches_the_expert_and_a_changed_answer_the_client(
    http: httpx2.AsyncClient, experts: FakeExperts, is_stream: bool
) -> None:
    answer = await http.post(CHAT, json={**ASKED, "stream": is_stream})
    assert answer.status_code == 200
    assert "HELLO!" in answer.text
    assert experts["coder"].requests[0].conversation.messages[-1].content == "Fix this!"
