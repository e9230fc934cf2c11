"""Documents in, citations out, at both doors."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from protos import chat_pb2 as chat
from protos import gateway_pb2 as pb
from protos.gateway_pb2_grpc import GatewayStub
from tests.fakes.expert_server import FakeExperts
from tests.helpers import CHAT

DOCUMENTS = [
    {"title": "Rain", "text": "It rains in May.", "url": "https://rain.example"},
    "It snows.",
    {"content": "x"},
]
CITED = {
    "type": "url_citation",
    "url_citation": {"start_index": 5, "end_index": 8, "title": "Rain", "url": "https://rain.example"},
}
UNTITLED = {"type": "url_citation", "url_citation": {"start_index": 8, "end_index": 11, "title": "", "url": ""}}


def body(**fields: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": "When does it rain?"}]
    return {"model": "researcher", "messages": messages, "documents": DOCUMENTS, **fields}


@pytest.fixture(autouse=True)
def words(experts: FakeExperts) -> None:
    experts["researcher"].words = ["Rain [", "1", "][2]", " or [9", "]."]


async def test_whole(http: httpx2.AsyncClient, experts: FakeExperts, sample: Callable[..., float]) -> None:
    answer = (await http.post(CHAT, json=body())).json()
    assert answer["choices"][0]["message"] == {
        "role": "assistant",
        "content": "Rain [1][2] or .",
        "refusal": None,
        "annotations": [CITED, UNTITLED],
    }
    assert sample("moegate_dropped_citations_total", expert="researcher") == 1
    [request] = experts["researcher"].requests
    assert [(d.title, d.text, d.url) for d in request.conversation.documents] == [
        ("Rain", "It rains in May.", "https://rain.example"),
        ("", "It snows.", ""),
        ("", "x", ""),
    ]


async def test_streamed(http: httpx2.AsyncClient) -> None:
    response = await http.post(CHAT, json=body(stream=True))
    lines = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
    deltas = [json.loads(line)["choices"][0]["delta"] for line in lines[:-1]]
    assert [delta["content"] for delta in deltas if "content" in delta] == ["", "Rain ", "[1][2]", " or ", "."]
    assert deltas[-1] == {"annotations": [CITED, UNTITLED]}


async def test_grpc(stub: GatewayStub) -> None:
    conversation = chat.Conversation(
        messages=[chat.Message(role=chat.ROLE_USER, content="When?")],
        documents=[chat.Document(title="Rain", text="May.", url="https://rain.example")],
    )
    request = pb.GenerateRequest(model="researcher", conversation=conversation)
    whole = await stub.Complete(request)
    assert whole.text == "Rain [1] or ."
    expected = chat.Annotation(start_index=5, end_index=8, document=1, title="Rain", url="https://rain.example")
    assert list(whole.summary.annotations) == [expected]
    chunks = [chunk async for chunk in stub.Generate(request)]
    assert "".join(chunk.text for chunk in chunks) == whole.text
    assert list(chunks[-1].summary.annotations) == [expected]


async def test_without_documents_brackets_are_words(http: httpx2.AsyncClient) -> None:
    message = (await http.post(CHAT, json=body(documents=None))).json()["choices"][0]["message"]
    assert message == {"role": "assistant", "content": "Rain [1][2] or [9].", "refusal": None}


@pytest.mark.parametrize(
    ("documents", "param"),
    [
        ([""], "documents[0].text"),
        ([{"title": "x"}], "documents[0].text"),
        ([{"text": 7}], "documents[0].text"),
        ([7], "documents[0]"),
        ("text", "documents"),
        (["x"] * 65, "documents"),
    ],
)
async def test_bad_documents_are_named(http: httpx2.AsyncClient, documents: object, param: str) -> None:
    response = await http.post(CHAT, json=body(documents=documents))
    assert (response.status_code, response.json()["error"]["param"]) == (400, param)


async def test_documents_need_a_question(http: httpx2.AsyncClient) -> None:
    response = await http.post(CHAT, json=body(messages=[{"role": "system", "content": "Be brief."}]))
    assert (response.status_code, response.json()["error"]["param"]) == (400, "documents")
