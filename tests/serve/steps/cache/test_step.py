"""The same request gets its answer again: whole or streamed, at no cost, for its own tenant alone."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from serve.app import App
from tests.fakes.expert_server import FakeExperts
from tests.helpers import CHAT, until

ASK: dict[str, Any] = {"model": "coder", "temperature": 0, "messages": [{"role": "user", "content": "hello"}]}
ALICE, BOB = ({"authorization": f"Bearer {name}-key"} for name in ("alice", "bob"))


@pytest.fixture
def overrides(tmp_path: Path) -> dict[str, Any]:
    keys = [{"name": name, "sha256": hashlib.sha256(f"{name}-key".encode()).hexdigest()} for name in ("alice", "bob")]
    return {"cache": {"enabled": True, "path": tmp_path / "cache.sqlite3"}, "access": {"keys": keys}}


async def ask(http: httpx2.AsyncClient, headers: dict[str, str] = ALICE, **fields: Any) -> tuple[str | None, Any]:
    response = await http.post(CHAT, json={**ASK, **fields}, headers=headers)
    assert response.status_code == 200, response.text
    return response.headers.get("x-moegate-cache"), response


async def test_the_second_time_nobody_is_asked(
    http: httpx2.AsyncClient, experts: FakeExperts, sample: Callable[..., float]
) -> None:
    first, second = [await ask(http) for _ in range(2)]
    assert (first[0], second[0], len(experts["coder"].requests)) == ("miss", "hit", 1)
    one, other = first[1].json(), second[1].json()
    assert one["choices"] == other["choices"]
    assert one["usage"]["completion_tokens"] == other["usage"]["completion_tokens"]
    assert (one["usage"]["cost_usd"] > 0, other["usage"]["cost_usd"]) == (True, 0)
    assert second[1].headers["x-moegate-expert"] == "coder"
    assert sample("moegate_cache_requests_total", outcome="hit") == 1
    assert sample("moegate_cache_saved_usd_total", expert="coder") == pytest.approx(one["usage"]["cost_usd"])
    assert sample("moegate_requests_total", expert="coder", door="http", outcome="ok") == 2
    assert sample("moegate_requests_in_flight", expert="coder") == 0


async def test_it_streams_as_the_first_time(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    streams = [(await ask(http, stream=True))[1] for _ in range(2)]
    pieces = [[line for line in stream.text.splitlines() if '"content"' in line] for stream in streams]
    assert len(pieces[0]) == len(pieces[1]) >= len(experts["coder"].words)
    assert streams[1].text.endswith("data: [DONE]\n\n")
    assert (await ask(http))[0] == "hit"  # whole or streamed: the same answer
    assert len(experts["coder"].requests) == 1


async def test_never_across_tenants(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    assert [(await ask(http, headers))[0] for headers in (ALICE, BOB, ALICE, BOB)] == ["miss", "miss", "hit", "hit"]
    assert len(experts["coder"].requests) == 2


@pytest.mark.parametrize(
    ("fields", "outcome"),
    [
        ({"temperature": None}, None),
        ({"temperature": 0.5}, None),
        ({"temperature": 1, "seed": 7}, "miss"),
        ({"max_tokens": 7}, "miss"),
        ({"model": "advisor"}, "miss"),
        ({"messages": [{"role": "user", "content": "hello!"}]}, "miss"),
        ({"user": "somebody"}, "hit"),
    ],
)
async def test_what_is_the_same(http: httpx2.AsyncClient, fields: dict[str, Any], outcome: str | None) -> None:
    await ask(http)
    assert (await ask(http, **fields))[0] == outcome


async def test_new_weights_answer_anew(http: httpx2.AsyncClient, app: App) -> None:
    await ask(http)
    app.gateway.health.experts["coder"].artifact = "other weights"
    assert (await ask(http))[0] == "miss"


async def test_what_broke_off_is_not_kept(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    experts["coder"].break_after = 1
    broken = await http.post(CHAT, json={**ASK, "stream": True}, headers=ALICE)
    assert "expert_failed" in broken.text
    experts["coder"].break_after = None
    assert (await ask(http))[0] == "miss"


async def test_a_store_that_fails_refuses_nobody(
    http: httpx2.AsyncClient, tmp_path: Path, sample: Callable[..., float]
) -> None:
    (tmp_path / "cache.sqlite3").mkdir()
    assert (await ask(http))[0] == "failed"
    # To look it up, and to keep it; the second is tried once the answer has gone out.
    await until(lambda: sample("moegate_cache_requests_total", outcome="failed") == 2)
