"""What each key has used, told to operators alone: as an endpoint, as a table, as metrics."""

import asyncio
import hashlib
import json
import time
from typing import Any

import httpx2
import pytest
from prometheus_client import CollectorRegistry

from serve.app import App
from serve.cli import main
from serve.telemetry.metrics import Metrics
from serve.telemetry.metrics.keys import MOST_KEYS, OTHERS
from tests.fakes.expert_server import FakeExperts
from tests.helpers import CHAT

ASK = {"model": "coder", "messages": [{"role": "user", "content": "hello"}]}


def entry(key: str, name: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "sha256": hashlib.sha256(key.encode()).hexdigest(), **fields}


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


keyed = pytest.mark.parametrize(
    "overrides", [{"access": {"keys": [entry("mg-a", "alice", usd=5.0), entry("mg-o", "ops", operator=True)]}}]
)


@keyed
async def test_an_operator_sees_what_every_key_has_used(
    app: App, http: httpx2.AsyncClient, experts: FakeExperts, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    told = [(await http.post(CHAT, json=ASK, headers=bearer("mg-a"))).json()["usage"]["cost_usd"] for _ in range(2)]
    experts["coder"].is_down = True
    await http.post(CHAT, json=ASK, headers=bearer("mg-a"))
    rows = {row["key"]: row for row in (await http.get("/v1/usage", headers=bearer("mg-o"))).json()["data"]}
    assert rows.keys() == {"alice", "ops"}
    alice = rows["alice"]
    assert (alice["requests"], alice["prompt_tokens"], alice["completion_tokens"]) == (3, 14, 6)
    assert alice["cost_usd"] == pytest.approx(sum(told))
    assert alice["limits"]["usd"] == 5.0
    assert alice["left"]["usd"] == pytest.approx(5.0 - alice["cost_usd"])
    assert 0 < alice["left"]["usd_reset_s"] <= 86400
    assert (alice["left"]["requests"], alice["left"]["tokens"], rows["ops"]["left"]) == (None, None, None)
    assert rows["ops"]["requests"] == 0
    url = f"http://{app.http_address}"
    monkeypatch.setenv("MOEGATE_API_KEY", "mg-o")
    assert await asyncio.to_thread(main, ["key", "usage", "--url", url, "--json"]) == 0
    assert {row["key"] for row in json.loads(capsys.readouterr().out)} == {"alice", "ops"}
    assert await asyncio.to_thread(main, ["key", "usage", "--url", url]) == 0
    assert "alice" in capsys.readouterr().out
    monkeypatch.setenv("MOEGATE_API_KEY", "mg-a")
    assert await asyncio.to_thread(main, ["key", "usage", "--url", url]) == 1
    assert "not an operator's" in capsys.readouterr().err


@pytest.mark.parametrize(
    "overrides",
    [{"access": {"keys": [entry("mg-a", "alice", rpm=10, tpm=9000), entry("mg-o", "ops", operator=True)]}}],
)
async def test_a_look_at_what_is_left_uses_nothing(app: App, http: httpx2.AsyncClient) -> None:
    now = time.time()
    app.gateway._allowances._clock = lambda: now  # 150 tokens come back in a second, and a slow machine takes that

    async def left() -> dict[str, Any]:
        rows = (await http.get("/v1/usage", headers=bearer("mg-o"))).json()["data"]
        found: dict[str, Any] = rows[0]["left"]
        return found

    assert [(await left())["requests"] for _ in range(12)] == [10] * 12
    answer = await http.post(CHAT, json=ASK, headers=bearer("mg-a"))
    assert answer.status_code == 200
    used = answer.json()["usage"]["total_tokens"]
    assert used > 0
    told = await left()
    assert (told["requests"], told["tokens"], told["usd"]) == (9, 9000 - used, None)


@keyed
async def test_nobody_else_does(http: httpx2.AsyncClient) -> None:
    refused = await http.get("/v1/usage", headers=bearer("mg-a"))
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "operator_only")
    assert (await http.get("/v1/usage")).status_code == 401


async def test_a_gateway_without_keys_has_none_to_tell_of(http: httpx2.AsyncClient) -> None:
    await http.post(CHAT, json=ASK)
    assert (await http.get("/v1/usage")).json() == {"object": "list", "data": []}


def test_labels_are_bounded() -> None:
    keys = Metrics(CollectorRegistry()).keys
    labels = [keys.label(f"key{number}") for number in range(MOST_KEYS + 5)]
    assert labels[:MOST_KEYS] == [f"key{number}" for number in range(MOST_KEYS)]
    assert set(labels[MOST_KEYS:]) == {OTHERS}
    assert keys.label("key3") == "key3"
