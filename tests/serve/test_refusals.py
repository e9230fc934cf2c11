"""What is said to a key that may not go on: through both doors, in words, codes and headers that clients act on."""

import time
from typing import Any

import grpc
import grpc.aio
import httpx2
import openai
import pytest

from protos import chat_pb2 as chat
from protos import gateway_pb2 as pb
from protos.gateway_pb2_grpc import GatewayStub
from serve.app import App
from tests.fakes.expert_server import FakeExperts
from tests.serve.limits.test_quota import LONG, METADATA, post
from tests.serve.test_access import KEY, bearer, entry, keyed


@keyed(entry(KEY, "alpha", tpm=100))
@pytest.mark.parametrize(
    ("fields", "param"),
    [({"max_tokens": 200}, "max_tokens"), ({"messages": [{"role": "user", "content": LONG}]}, "messages")],
)
async def test_a_request_that_can_never_fit_is_told_so(
    http: httpx2.AsyncClient, stub: GatewayStub, experts: FakeExperts, fields: dict[str, Any], param: str
) -> None:
    response = await post(http, **fields)
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (429, "request_exceeds_limit", param)
    assert "100 a minute" in error["message"]
    assert ("retry-after" in response.headers, response.headers["x-should-retry"]) == (False, "false")
    conversation = chat.Conversation(messages=[chat.Message(role=chat.ROLE_USER, content=LONG)])
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.Complete(pb.GenerateRequest(model="coder", conversation=conversation), metadata=METADATA)
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert dict(refused.value.trailing_metadata() or ())["x-moegate-error-code"] == "request_exceeds_limit"
    assert not experts["coder"].requests
    assert (await post(http)).status_code == 200, "nothing was taken"


@keyed(entry(KEY, "alpha", usd=0.000001))
async def test_a_spent_budget_says_when_it_begins_anew_and_the_sdk_does_not_try_again(
    app: App, http: httpx2.AsyncClient, experts: FakeExperts
) -> None:
    assert (await post(http)).status_code == 200
    refused = await post(http)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "insufficient_quota")
    assert refused.headers["x-moegate-budget-remaining-usd"] == "0"
    assert 1 <= int(refused.headers["retry-after"]) <= 86400
    async with openai.AsyncOpenAI(base_url=f"http://{app.http_address}/v1", api_key=KEY, max_retries=5) as sdk:
        with pytest.raises(openai.RateLimitError):
            await sdk.chat.completions.create(model="coder", messages=[{"role": "user", "content": "hi"}])
    assert app.metrics.registry.get_sample_value("moegate_limited_requests_total", {"kind": "usd"}) == 2
    assert len(experts["coder"].requests) == 1


@keyed(entry(KEY, "alpha", rpm=2))
async def test_requests_come_back_after_as_long_as_is_said(app: App, http: httpx2.AsyncClient) -> None:
    now = [time.time()]
    app.gateway._allowances._clock = lambda: now[0]
    codes = [(await post(http)).status_code for _ in range(3)]
    assert codes == [200, 200, 429]
    refused = await post(http)
    assert refused.headers["retry-after"] == "30"
    assert "x-should-retry" not in refused.headers
    now[0] += int(refused.headers["retry-after"])
    assert [(await post(http)).status_code for _ in range(2)] == [200, 429]


@keyed(entry(KEY, "alpha", tpm=100))
async def test_tokens_come_back_after_as_long_as_is_said(
    app: App, http: httpx2.AsyncClient, experts: FakeExperts
) -> None:
    now = [time.time()]
    app.gateway._allowances._clock = lambda: now[0]
    experts["coder"].words = ["a "] * 500
    for _ in range(3):  # each takes all of a minute's tokens, and five times that
        assert (await post(http)).status_code == 200
        refused = await post(http)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "60")
        assert refused.headers["x-ratelimit-remaining-tokens"] == "0"
        assert refused.headers["x-ratelimit-reset-tokens"] == "1m0s"
        now[0] += int(refused.headers["retry-after"])


@keyed(entry(KEY, "alpha", tpm=100))
async def test_a_raw_prompt_that_can_never_fit_is_told_so(http: httpx2.AsyncClient) -> None:
    body = {"model": "coder", "prompt": LONG}
    response = await http.post("/v1/completions", json=body, headers=bearer(KEY))
    assert (response.status_code, response.json()["error"]["param"]) == (429, "prompt")
