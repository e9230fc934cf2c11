"""An expert is down: the next one in the ranking answers, and Ray brings the first one back without our doing."""

import asyncio
import os
import signal

import httpx2
import pytest

from tests.integration.running import Moegate

pytestmark = pytest.mark.ray

BODY = {"model": "auto", "messages": [{"role": "user", "content": "Who wrote War and Peace?"}], "max_tokens": 5}


async def test_the_next_expert_answers(moegate: Moegate, http: httpx2.AsyncClient) -> None:
    first = (await http.post("/v1/chat/completions", json=BODY)).headers["x-moegate-expert"]
    (pid,) = moegate.replica_pids(first)
    os.kill(pid, signal.SIGKILL)
    response = await http.post("/v1/chat/completions", json=BODY)
    assert response.status_code == 200
    assert response.headers["x-moegate-expert"] != first
    assert response.headers["x-moegate-reason"] == "fallback"
    assert response.json()["model"] == response.headers["x-moegate-expert"]
    for _ in range(300):
        response = await http.post("/v1/chat/completions", json={**BODY, "model": first})
        if response.status_code == 200:
            break
        assert response.status_code in (429, 503)
        await asyncio.sleep(0.2)
    assert response.json()["model"] == first
