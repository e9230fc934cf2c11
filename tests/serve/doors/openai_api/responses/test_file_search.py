"""`file_search` in the Responses API: collections are searched and files cited, as OpenAI's client reads it."""

from __future__ import annotations

from typing import Any

import grpc
import httpx2
import openai
import pytest

from protos import encoder_pb2
from serve.app import App
from tests.fakes.expert_server import FakeExperts

PATH = "/v1/responses"
TOOL: dict[str, Any] = {"type": "file_search", "vector_store_ids": ["pets"], "max_num_results": 2}
ASK: dict[str, Any] = {"model": "researcher", "input": "How long does a cat sleep?", "tools": [TOOL]}
PASSAGES = [
    encoder_pb2.Passage(file="docs/c#1.md", title="Cats", place="lines 3-9", text="Cats sleep 15 hours."),
    encoder_pb2.Passage(file="docs/dogs.md", text="Dogs sleep 12 hours."),
]
FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"encoder": {"enabled": True}, "retrieval": {"enabled": True}}


@pytest.fixture(autouse=True)
def filled(experts: FakeExperts) -> None:
    experts.encoder.passages = list(PASSAGES)
    experts["researcher"].words = ["Cats sleep 15 hours", " [1]", "."]


async def test_openai_s_client_reads_files_cited(app: App, experts: FakeExperts) -> None:
    async with openai.AsyncOpenAI(base_url=f"http://{app.http_address}/v1", api_key="any", max_retries=0) as client:
        answer = await client.responses.create(**ASK, include=["file_search_call.results"])
    call, message = answer.output
    assert (call.type, call.status, call.queries) == ("file_search_call", "completed", [ASK["input"]])
    assert [(row.filename, row.text) for row in call.results or ()] == [
        ("docs/c#1.md", "Cats sleep 15 hours."),
        ("docs/dogs.md", "Dogs sleep 12 hours."),
    ]
    places = [{"title": "Cats", "place": "lines 3-9"}, {"title": "docs/dogs.md", "place": ""}]
    assert [row.attributes for row in call.results or ()] == places
    [citation] = message.content[0].annotations
    assert (citation.type, citation.filename, citation.index) == ("file_citation", "docs/c#1.md", 23)
    assert answer.output_text[: citation.index].endswith("[1]")
    assert citation.model_extra == {"title": "Cats", "url": "docs/c#1.md#lines-3-9"}
    [search] = experts.encoder.searches
    assert (list(search.collections), search.top_k) == (["pets"], 2)
    assert not experts["researcher"].requests[-1].conversation.tools


async def test_streamed(app: App) -> None:
    async with openai.AsyncOpenAI(base_url=f"http://{app.http_address}/v1", api_key="any", max_retries=0) as client:
        events = [event async for event in await client.responses.create(**ASK, stream=True)]
    names = [event.type for event in events]
    search = "response.file_search_call."
    assert names[2:7] == [
        "response.output_item.added", f"{search}in_progress", f"{search}searching", f"{search}completed",
        "response.output_item.done",
    ]  # fmt: skip
    assert [event.sequence_number for event in events] == list(range(len(events)))
    [cited] = [event for event in events if event.type == "response.output_text.annotation.added"]
    assert (cited.annotation.type, cited.output_index) == ("file_citation", 1)
    whole = events[-1].response
    assert [item.type for item in whole.output] == ["file_search_call", "message"]
    assert whole.output[0].id.startswith("fs_")
    assert whole.output[0].results is None, "nobody asked for them"


async def test_its_own_documents_are_no_files(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    experts["researcher"].words = ["Mine [1], theirs [2]."]
    body = (await http.post(PATH, json={**ASK, "documents": [{"text": "Mine.", "url": "https://a"}]})).json()
    assert [one["type"] for one in body["output"][1]["content"][0]["annotations"]] == ["url_citation", "file_citation"]


async def test_an_earlier_turn_s_search_may_come_back(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    first = (await http.post(PATH, json=ASK)).json()
    turn = [{"role": "user", "content": ASK["input"]}, *first["output"], {"role": "user", "content": "Why so long?"}]
    again = await http.post(PATH, json={**ASK, "input": turn})
    assert again.status_code == 200
    assert len(experts["researcher"].requests[-1].conversation.messages) == 3


async def test_a_search_that_fails_says_so(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    experts.encoder.refuse = (grpc.StatusCode.UNAVAILABLE, "")
    answer = await http.post(PATH, json={**ASK, "include": ["file_search_call.results"]})
    call = answer.json()["output"][0]
    assert (answer.status_code, call["status"], call["results"]) == (200, "failed", [])


@pytest.mark.parametrize("choice", ["required", {"type": "file_search"}])
async def test_it_may_be_wanted_by_name(http: httpx2.AsyncClient, experts: FakeExperts, choice: Any) -> None:
    assert (await http.post(PATH, json={**ASK, "tool_choice": choice})).status_code == 200
    assert len(experts.encoder.searches) == 1


async def test_none_searches_nothing(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    body = (await http.post(PATH, json={**ASK, "tool_choice": "none"})).json()
    assert [item["type"] for item in body["output"]] == ["message"]
    assert not experts.encoder.searches


@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        ({"tools": [{"type": "file_search"}]}, "invalid_value", "tools[0].vector_store_ids"),
        ({"tools": [{**TOOL, "max_num_results": 51}]}, "invalid_value", "tools[0].max_num_results"),
        ({"tools": [{**TOOL, "filters": {"type": "eq"}}]}, "unsupported_parameter", "tools[0].filters"),
        ({"tools": [{**TOOL, "ranking_options": {"score_threshold": 0.3}}]}, "unsupported_parameter",
         "tools[0].ranking_options.score_threshold"),
        ({"tools": [TOOL, TOOL]}, "invalid_value", "tools[1]"),
        ({"retrieval": {"collections": ["pets"]}}, "invalid_value", "tools[0]"),
        ({"documents": ["x"] * 64}, "invalid_value", "tools[0].max_num_results"),
        ({"documents": ["x"] * 63}, "invalid_value", "tools[0].max_num_results"),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_named(http: httpx2.AsyncClient, change: Any, code: str, param: str) -> None:
    answer = await http.post(PATH, json=ASK | change)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, code, param)


async def test_a_store_that_is_not_there(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    experts.encoder.refuse = (grpc.StatusCode.NOT_FOUND, "no_collection: there is none")
    answer = await http.post(PATH, json={**ASK, "tools": [FUNCTION, TOOL]})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (
        404,
        "collection_not_found",
        "tools[1].vector_store_ids",
    )


class TestOff:
    @pytest.fixture
    def overrides(self) -> dict[str, Any]:
        return {}

    async def test_it_is_refused_by_name(self, http: httpx2.AsyncClient) -> None:
        answer = await http.post(PATH, json=ASK)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["param"]) == (400, "unsupported_parameter", "tools[0]")
