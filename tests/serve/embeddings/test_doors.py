"""Embeddings through both doors: OpenAI's own client reads them, and whatever goes wrong has a name."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import logging
from collections.abc import Callable
from typing import Any

import grpc
import httpx2
import numpy as np
import openai
import pytest

from protos import gateway_pb2 as pb
from protos.gateway_pb2_grpc import GatewayStub
from serve.app import App
from tests.fakes.encoder_server import DIMENSIONS, vector_of
from tests.fakes.expert_server import FakeExperts
from tests.helpers import until

PATH = "/v1/embeddings"
MODEL = "all-minilm-l6-v2"
ASK = {"model": MODEL, "input": ["red", "green blue"]}
ON = {"encoder": {"enabled": True}}
KEY = "mg-tenant"
LIMITED = {"name": "alice", "sha256": hashlib.sha256(KEY.encode()).hexdigest(), "tpm": 20}


@pytest.fixture
def overrides() -> dict[str, Any]:
    return ON


def rows(body: dict[str, Any]) -> np.ndarray[Any, Any]:
    return np.array([one["embedding"] for one in body["data"]], np.float32)


async def test_texts_become_vectors(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    answer = await http.post(PATH, json=ASK, headers={"x-request-id": "mine"})
    body = answer.json()
    assert answer.status_code == 200
    np.testing.assert_allclose(rows(body), [vector_of("red"), vector_of("green blue")], rtol=1e-6)
    assert [one["index"] for one in body["data"]] == [0, 1]
    assert body["usage"] == {"prompt_tokens": 3, "total_tokens": 3}
    assert (body["model"], answer.headers["x-request-id"]) == (MODEL, "mine")
    assert 0 < int(experts.encoder.metadata[0]["x-request-timeout-ms"]) <= 30_000


async def test_openai_s_client_reads_them(app: App) -> None:
    async with openai.AsyncOpenAI(base_url=f"http://{app.http_address}/v1", api_key="any", max_retries=0) as client:
        answer = await client.embeddings.create(model=MODEL, input="red")  # it asks for base64 by itself
        assert answer.data[0].embedding == pytest.approx(vector_of("red"), rel=1e-6)
        assert MODEL in [model.id async for model in client.models.list()]


async def test_base64_and_fewer_dimensions(http: httpx2.AsyncClient) -> None:
    body = (await http.post(PATH, json={**ASK, "encoding_format": "base64", "dimensions": 2})).json()
    raw = np.frombuffer(base64.b64decode(body["data"][0]["embedding"]), "<f4")
    cut = vector_of("red")[:2]
    np.testing.assert_allclose(raw, cut / np.linalg.norm(cut), rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "status", "code", "param"),
    [
        ({"model": "coder"}, 404, "model_not_found", "model"),
        ({"model": None}, 400, "invalid_value", "model"),
        ({"input": []}, 400, "invalid_value", "input"),
        ({"input": "  "}, 400, "invalid_value", "input[0]"),
        ({"input": ["a", ""]}, 400, "invalid_value", "input[1]"),
        ({"input": ["a"] * 2049}, 400, "invalid_value", "input"),
        ({"input": [1, 2]}, 400, "unsupported_parameter", "input"),
        ({"input": [[1, 2]]}, 400, "unsupported_parameter", "input"),
        ({"input": 7}, 400, "invalid_value", "input"),
        ({"dimensions": 0}, 400, "invalid_value", "dimensions"),
        ({"dimensions": DIMENSIONS + 1}, 400, "invalid_value", "dimensions"),
        ({"encoding_format": "int8"}, 400, "invalid_value", "encoding_format"),
        ({"input": ["a", "w " * 101]}, 400, "context_length_exceeded", "input[1]"),
    ],
)
async def test_what_is_wrong_is_named(
    http: httpx2.AsyncClient, change: dict[str, Any], status: int, code: str, param: str
) -> None:
    answer = await http.post(PATH, json=ASK | change)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (status, code, param)


@pytest.mark.parametrize(
    ("refusal", "status", "code"),
    [
        (grpc.StatusCode.UNAVAILABLE, 503, "encoder_unavailable"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, 429, "overloaded"),
        (grpc.StatusCode.DEADLINE_EXCEEDED, 408, "deadline_exceeded"),
        (grpc.StatusCode.INTERNAL, 502, "encoder_failed"),
        (grpc.StatusCode.INVALID_ARGUMENT, 400, "invalid_value"),
    ],
)
async def test_what_the_encoder_says_is_translated(
    http: httpx2.AsyncClient, stub: GatewayStub, experts: FakeExperts, sample: Callable[..., float],
    refusal: grpc.StatusCode, status: int, code: str,
) -> None:  # fmt: skip
    experts.encoder.refuse = (refusal, "at 10.0.0.1: Traceback")
    answer = await http.post(PATH, json=ASK)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert "10.0.0.1" not in answer.text
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stub.Embed(pb.EmbedRequest(texts=["red"]))
    assert dict(raised.value.trailing_metadata() or ())["x-moegate-error-code"] == code
    assert sample("moegate_encoder_requests_total", call="embed", outcome=code) == 2


async def test_nobody_there_is_told(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    await experts.stop()
    answer = await http.post(PATH, json=ASK)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "encoder_unavailable")


async def test_over_grpc(stub: GatewayStub) -> None:
    answer = await stub.Embed(pb.EmbedRequest(texts=["red", "green blue"]))
    np.testing.assert_allclose(
        [v.values for v in answer.vectors], [vector_of("red"), vector_of("green blue")], rtol=1e-6
    )
    assert (answer.model, answer.tokens) == (MODEL, 3)
    shorter = await stub.Embed(pb.EmbedRequest(model=MODEL, texts=["red"], dimensions=2))
    assert len(shorter.vectors[0].values) == 2


async def test_a_client_that_leaves_ends_the_work(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    experts.encoder.gate.clear()
    asked = asyncio.create_task(http.post(PATH, json=ASK))
    await until(lambda: experts.encoder.requests)
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    await until(lambda: experts.encoder.cancelled == 1)


async def test_the_caller_s_deadline_holds(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    experts.encoder.gate.clear()
    answer = await http.post(PATH, json=ASK, headers={"x-request-timeout-ms": "50"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (408, "deadline_exceeded")
    answer = await http.post(PATH, json=ASK, headers={"x-request-timeout-ms": "soon"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "x-request-timeout-ms")


@pytest.mark.parametrize("overrides", [ON | {"access": {"keys": [LIMITED]}}])
async def test_a_key_s_tokens_count(
    http: httpx2.AsyncClient, sample: Callable[..., float], caplog: pytest.LogCaptureFixture, overrides: dict[str, Any]
) -> None:
    assert (await http.post(PATH, json=ASK)).status_code == 401
    http.headers["authorization"] = f"Bearer {KEY}"
    with caplog.at_level(logging.INFO, "moegate.embeddings"):
        answer = await http.post(PATH, json=ASK)
    assert answer.headers["x-ratelimit-remaining-tokens"] == "17"
    assert sample("moegate_key_tokens_total", key="alice", kind="prompt") == 3
    [line] = [record.__dict__ for record in caplog.records if record.name == "moegate.embeddings"]
    assert (line["tenant"], line["texts"], line["tokens"], line["encode_ms"]) == ("alice", 2, 3, 500.0)
    assert "green" not in json.dumps({key: str(value) for key, value in line.items()})
    large = await http.post(PATH, json=ASK | {"input": ["word " * 60]})
    assert (large.status_code, large.json()["error"]["code"]) == (429, "request_exceeds_limit")
    again = await http.post(PATH, json=ASK | {"input": ["word " * 18]})
    assert (again.status_code, again.json()["error"]["code"]) == (429, "rate_limit_exceeded")


async def test_the_document_has_it(http: httpx2.AsyncClient) -> None:
    operation = (await http.get("/openapi.json")).json()["paths"][PATH]["post"]
    assert operation["requestBody"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/EmbeddingsBody"
    }


@pytest.mark.parametrize("overrides", [{}])
async def test_without_an_encoder_there_is_none(
    http: httpx2.AsyncClient, stub: GatewayStub, overrides: dict[str, Any]
) -> None:
    assert (await http.post(PATH, json=ASK)).json()["error"]["code"] == "not_found"
    assert PATH not in (await http.get("/openapi.json")).json()["paths"]
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stub.Embed(pb.EmbedRequest(texts=["red"]))
    assert raised.value.code() is grpc.StatusCode.NOT_FOUND
