"""Goodput at four times what fits is that at one time; what is shed is told so at once, and how long to wait."""

import asyncio
import statistics
import time
from typing import Any

import grpc
import httpx2
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from protos import chat_pb2 as chat
from protos import gateway_pb2 as pb
from protos.gateway_pb2_grpc import GatewayStub
from serve.app import App
from tests.fakes.expert_server import FakeExperts

BODY = {"model": "coder", "messages": [{"role": "user", "content": "hello"}]}
PERMITS, TAKES_S, DEADLINE_S, LASTS_S = 4, 0.2, 0.7, 3.0
FITS = PERMITS / TAKES_S  # requests a second


async def offer(http: httpx2.AsyncClient, rate: float) -> list[tuple[int, float]]:
    """Open loop; status and seconds of each request."""

    async def ask() -> tuple[int, float]:
        began = time.monotonic()
        headers = {"x-request-timeout-ms": str(DEADLINE_S * 1e3)}
        response = await http.post("/v1/chat/completions", json=BODY, headers=headers)
        if response.status_code == 429:
            assert int(response.headers["retry-after"]) >= 1
        return response.status_code, time.monotonic() - began

    tasks = []
    for _ in range(int(rate * LASTS_S)):
        tasks.append(asyncio.create_task(ask()))
        await asyncio.sleep(1 / rate)
    return await asyncio.gather(*tasks)


@pytest.mark.slow
@pytest.mark.parametrize("overrides", [{"admission": {"max_in_flight": PERMITS, "max_queue_len": 64}}])
async def test_goodput_holds_at_four_times_what_fits(http: httpx2.AsyncClient, experts: FakeExperts, app: App) -> None:
    experts["coder"].first_s = TAKES_S
    good = {}
    for times in (1, 4):
        answers = await offer(http, FITS * times)
        good[times] = sum(status == 200 for status, _ in answers)
        assert {status for status, _ in answers} <= {200, 408, 429}
        shed_s, served_s = ([seconds for status, seconds in answers if status == wanted] for wanted in (429, 200))
        if times == 4:
            assert len(shed_s) > len(answers) / 2
            assert statistics.median(shed_s) < statistics.median(served_s)  # at once: nobody waits to be refused
    assert good[4] >= 0.9 * good[1]


@pytest.mark.parametrize("overrides", [{"admission": {"max_in_flight": 1, "max_queue_len": 0}}])
async def test_a_shed_call_says_when_to_come_back(stub: GatewayStub, experts: FakeExperts, app: App) -> None:
    experts["coder"].first_s = 0.5
    conversation = chat.Conversation(messages=[chat.Message(role=chat.ROLE_USER, content="hello")])
    message = pb.GenerateRequest(model="coder", conversation=conversation)
    first = asyncio.ensure_future(stub.Complete(message))
    await asyncio.sleep(0.2)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.Complete(message)
    await first
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    trailers: dict[str, Any] = dict(refused.value.trailing_metadata() or ())
    assert trailers["retry-after"] == "1"
    status = Status.FromString(trailers["grpc-status-details-bin"])
    info, retry = ErrorInfo(), RetryInfo()
    assert status.details[0].Unpack(info)
    assert status.details[1].Unpack(retry)
    assert (info.reason, info.domain, retry.retry_delay) == ("OVERLOADED", "moegate", Duration(seconds=1))


@pytest.mark.parametrize("overrides", [{"admission": {"max_in_flight": 1, "max_queue_len": 1}}])
async def test_priority_by_header(http: httpx2.AsyncClient, experts: FakeExperts, app: App) -> None:
    experts["coder"].first_s = 0.3

    async def ask(priority: str) -> httpx2.Response:
        return await http.post("/v1/chat/completions", json=BODY, headers={"x-moegate-priority": priority})

    tasks = []
    for priority in ("batch", "batch", "interactive"):
        tasks.append(asyncio.create_task(ask(priority)))
        await asyncio.sleep(0.05)
    assert [(await task).status_code for task in tasks] == [200, 429, 200]
    wrong = await ask("royal")
    assert wrong.json()["error"]["param"] == "x-moegate-priority"
