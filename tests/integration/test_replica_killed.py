"""One of two replicas is killed under load: only streams that had a token of its fail, typed; the rest never notice."""

import asyncio
import json
import os
import random
import signal

import httpx2
import pytest

from tests.helpers import until
from tests.integration.running import Moegate

pytestmark = pytest.mark.ray

TOKENS, STREAMS = 60, 32


async def stream(http: httpx2.AsyncClient, wait_s: float) -> tuple[int, int, str]:
    """Start after a while; returns status, tokens, and how the stream ended: `[DONE]` or an error's code."""
    await asyncio.sleep(wait_s)
    body = {"model": "twin", "messages": [{"role": "user", "content": "a b c"}], "stream": True, "max_tokens": TOKENS}
    tokens, last = 0, ""
    async with http.stream("POST", "/v1/chat/completions", json=body) as response:
        if response.status_code != 200:
            return response.status_code, 0, json.loads(await response.aread())["error"]["code"]
        async for line in response.aiter_lines():
            if line.startswith("data: "):
                last = line.removeprefix("data: ")
                tokens += '"content":"' in last and '"content":""' not in last
    return 200, tokens, last if last == "[DONE]" else json.loads(last)["error"]["code"]


async def test_only_what_had_begun_on_it_fails(moegate: Moegate, http: httpx2.AsyncClient) -> None:
    replicas = moegate.replica_pids("twin")
    assert len(replicas) == 2
    rng = random.Random(1)
    # A stream lasts 0.4 s to its first token and 1.2 s after it; the kill comes while all kinds are there.
    streams = [asyncio.create_task(stream(http, rng.uniform(0, 1.6))) for _ in range(STREAMS)]
    await asyncio.sleep(1.0)
    os.kill(replicas[0], signal.SIGKILL)
    ends = await asyncio.wait_for(asyncio.gather(*streams), 60)
    failed = [end for end in ends if end[2] != "[DONE]"]
    assert 0 < len(failed) < STREAMS
    assert {(status, code) for status, _, code in failed} == {(200, "expert_failed")}, ends
    assert all(tokens > 0 for _, tokens, _ in failed)
    await until(lambda: len(moegate.replica_pids("twin")) == 2, every_s=0.2)
    assert len(moegate.replica_pids("twin")) == 2
    again = await asyncio.gather(*(stream(http, 0.05 * i) for i in range(8)))
    assert {end[2] for end in again} == {"[DONE]"}
