"""Many documents are compared with the question by meaning, too; when the encoder fails, the words decide alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import httpx2
import numpy as np
import pytest
import yaml

from experts.catalog.spec import load_catalog
from experts.conversation.prompts import render_for
from protos import chat_pb2 as chat
from protos import encoder_pb2
from tests.fakes.encoder_server import vector_of
from tests.fakes.expert_server import FakeExperts

CHAT = "/v1/chat/completions"
TEXTS = ["Red.", "A much longer text of many words.", "Blue!", "Green is a colour."]
ASK: dict[str, Any] = {
    "model": "researcher",
    "messages": [{"role": "user", "content": "Which?"}],
    "documents": [{"text": text, "title": "T" * (text == "Blue!")} for text in TEXTS],
}


@pytest.fixture
def catalog_file(catalog_file: Path) -> Path:
    content = yaml.safe_load(catalog_file.read_text())
    content["experts"][0]["max_documents"] = 3
    catalog_file.write_text(yaml.safe_dump(content))
    return catalog_file


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"encoder": {"enabled": True}, "retrieval": {"enabled": True}}


def shown(experts: FakeExperts) -> chat.Conversation:
    return experts["researcher"].requests[-1].conversation


async def test_how_near_each_one_is_goes_with_them(
    http: httpx2.AsyncClient, experts: FakeExperts, sample: Callable[..., float]
) -> None:
    answer = await http.post(CHAT, json=ASK)
    words = ["Red.", TEXTS[1], "T\nBlue!", TEXTS[3]]
    expected = [float(vector_of(text) @ vector_of("Which?")) for text in words]
    assert list(shown(experts).nearness) == pytest.approx(expected, rel=1e-5)
    assert [document.text for document in shown(experts).documents] == TEXTS
    assert answer.headers["x-moegate-documents"].startswith("ranked=words+meaning,of=4,ms=")
    asked, given = sorted(experts.encoder.requests, key=lambda request: len(request.texts))
    assert (asked.role, given.role, given.truncate) == (encoder_pb2.ROLE_QUERY, encoder_pb2.ROLE_PASSAGE, True)
    assert sample("moegate_encoder_requests_total", call="rank", outcome="ok") == 1


async def test_few_are_shown_anyhow(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    answer = await http.post(CHAT, json={**ASK, "documents": TEXTS[:3]})
    assert "x-moegate-documents" not in answer.headers
    assert not experts.encoder.requests


async def test_what_a_search_has_ranked_stays(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    experts.encoder.passages = [encoder_pb2.Passage(file="f", text=text) for text in TEXTS]
    body = {key: value for key, value in ASK.items() if key != "documents"} | {"retrieval": {"collections": ["c"]}}
    await http.post(CHAT, json=body)
    assert (len(shown(experts).documents), list(shown(experts).nearness)) == (4, [])
    assert not experts.encoder.requests


@pytest.mark.parametrize("status", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED])
async def test_a_failure_leaves_it_to_the_words(
    http: httpx2.AsyncClient, experts: FakeExperts, sample: Callable[..., float], status: grpc.StatusCode
) -> None:
    experts.encoder.refuse = (status, "")
    answer = await http.post(CHAT, json=ASK)
    code = answer.headers["x-moegate-documents"].removeprefix("ranked=words,failed=")
    assert (answer.status_code, list(shown(experts).nearness)) == (200, [])
    assert sample("moegate_encoder_requests_total", call="rank", outcome=code) == 1


async def test_the_expert_shows_what_is_near(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    """Rendered by the shipped researcher, which shows three: without words in common the meaning alone decides."""
    await http.post(CHAT, json=ASK)
    researcher = load_catalog().get("researcher")
    assert researcher is not None
    said = render_for(researcher, shown(experts))[-1].content
    farthest = int(np.argmin(shown(experts).nearness))
    assert [f"[{at + 1}]" in said for at in range(4)] == [at != farthest for at in range(4)]


class TestOff:
    @pytest.fixture
    def overrides(self) -> dict[str, Any]:
        return {"encoder": {"enabled": True, "rank_documents": False}}

    async def test_nobody_is_asked(self, http: httpx2.AsyncClient, experts: FakeExperts) -> None:
        await http.post(CHAT, json=ASK)
        assert not experts.encoder.requests
