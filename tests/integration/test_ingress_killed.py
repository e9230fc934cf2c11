"""HAProxy, the ingress in front of the replicas, is killed: Ray Serve starts another, the gateway finds it again."""

import asyncio
import os
import signal

import httpx2
import pytest

from tests.integration.running import Moegate

pytestmark = pytest.mark.ray

BODY = {"model": "generalist", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 5}


def haproxies(moegate: Moegate) -> list[int]:
    """The processes of HAProxy."""
    return [pid for pid, command in moegate.left().items() if command.split(" ", 1)[0].endswith("haproxy")]


async def test_answers_come_again_without_a_restart_of_the_gateway(moegate: Moegate, http: httpx2.AsyncClient) -> None:
    before = haproxies(moegate)
    assert before
    assert (await http.post("/v1/chat/completions", json=BODY)).status_code == 200
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    response = await http.post("/v1/chat/completions", json=BODY)
    assert response.status_code in (200, 503), response.text  # never a 500, and nothing that hangs
    if response.status_code == 503:
        assert response.json()["error"]["code"] == "expert_unavailable"
        assert int(response.headers["retry-after"]) >= 1
    for _ in range(300):
        if (await http.post("/v1/chat/completions", json=BODY)).status_code == 200:
            break
        await asyncio.sleep(0.2)
    after = haproxies(moegate)
    assert after
    assert not set(after) & set(before)
    for _ in range(20):  # and it stays so, on every connection
        assert (await http.post("/v1/chat/completions", json=BODY)).status_code == 200
