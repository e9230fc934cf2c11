"""A client that leaves frees the batch slot: at 2 and 5 ms a token, at random points, over both doors, every time."""

import asyncio
import random
import re

import grpc.aio
import httpx2
import pytest

from protos import chat_pb2 as chat
from protos import expert_pb2, gateway_pb2
from protos.gateway_pb2_grpc import GatewayStub
from tests.integration.running import Moegate

pytestmark = pytest.mark.ray

STREAMS = 48
TOKENS = 40_000  # 80 s at 2 ms: a stream that runs on is still there when we look, also on a busy machine
FREE_WITHIN_S = 20.0  # far less than that


async def cancel_over_http(moegate: Moegate, expert: str, after: int) -> None:
    """Read so many tokens, then close the connection."""
    body = {"model": expert, "messages": [{"role": "user", "content": "a b c"}], "stream": True, "max_tokens": TOKENS}
    async with (
        httpx2.AsyncClient(base_url=moegate.http, timeout=30) as client,
        client.stream("POST", "/v1/chat/completions", json=body) as response,
    ):
        assert response.status_code == 200
        seen = 0
        async for line in response.aiter_lines():
            seen += '"content":' in line
            if seen >= after:
                return


async def cancel_over_grpc(moegate: Moegate, expert: str, after: int) -> None:
    """Read so many messages, then cancel the call."""
    message = chat.Message(role=chat.ROLE_USER, content="a b c")
    request = gateway_pb2.GenerateRequest(
        model=expert,
        conversation=chat.Conversation(messages=[message]),
        sampling=chat.Sampling(max_tokens=TOKENS),
    )
    async with grpc.aio.insecure_channel(moegate.grpc) as channel:
        call = GatewayStub(channel).Generate(request)
        for _ in range(after):
            assert await call.read() is not grpc.aio.EOF
        call.cancel()


async def describe(moegate: Moegate, expert: str) -> expert_pb2.DescribeResponse:
    async with grpc.aio.insecure_channel(moegate.ingress) as channel:
        metadata = (("application", expert),)
        return await moegate.stub(channel).Describe(expert_pb2.DescribeRequest(), metadata=metadata)


async def cancelled_count(moegate: Moegate, expert: str) -> float:
    async with httpx2.AsyncClient(base_url=moegate.http) as client:
        page = (await client.get("/metrics")).text
    pattern = rf'moegate_requests_total{{door="\w+",expert="{expert}",outcome="cancelled"}} (\S+)'
    return sum(float(value) for value in re.findall(pattern, page))


@pytest.mark.parametrize("expert", ["researcher", "advisor"])
@pytest.mark.parametrize("cancel", [cancel_over_http, cancel_over_grpc])
async def test_no_sequence_runs_on(moegate: Moegate, expert: str, cancel: object) -> None:
    assert callable(cancel)
    before = await describe(moegate, expert)
    counted = await cancelled_count(moegate, expert)
    assert before.load.running == 0
    points = random.Random(f"{expert} {cancel}").choices(range(1, 120), k=STREAMS)
    for batch in (points[:8], points[8:16], points[16:]):  # 8, 8 and 32 at once
        await asyncio.gather(*(cancel(moegate, expert, point) for point in batch))
    for _ in range(int(FREE_WITHIN_S / 0.05)):
        after = await describe(moegate, expert)
        now_counted = await cancelled_count(moegate, expert) - counted
        if not after.load.running and now_counted == STREAMS:
            break
        await asyncio.sleep(0.05)
    assert after.sequences_total - before.sequences_total == STREAMS
    assert (after.load.running, after.load.waiting) == (0, 0)
    assert now_counted == STREAMS
