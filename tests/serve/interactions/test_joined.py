"""Ratings find their answers across gateways, and what is joined is what off-policy estimates read."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from router.evaluation import offpolicy
from router.model.artifact import DEFAULT_PATH
from serve import cli
from serve.app import App
from serve.settings.access import AccessSettings, KeySettings
from serve.settings.interactions import InteractionsSettings
from serve.settings.tree import FeedbackSettings, Settings

KEYS = {name: "mg-" + name * 9 for name in ("alice", "bob", "boss")}
RATE = "/v1/feedback"


def ask(number: int) -> dict[str, Any]:
    return {
        "model": "auto",
        "messages": [{"role": "user", "content": f"Fix this Python function: def f{number}(x): x"}],
    }


@pytest.fixture
def shared(settings: Settings, tmp_path: Path) -> Settings:
    """Settings of several gateways beside each other, with keys; the boss is an operator."""
    keys = tuple(
        KeySettings(name=name, sha256=hashlib.sha256(key.encode()).hexdigest(), operator=name == "boss")
        for name, key in KEYS.items()
    )
    return settings.model_copy(
        update={
            "access": AccessSettings(keys=keys),
            "interactions": InteractionsSettings(keys=("*",), target=str(tmp_path / "kept"), flush_s=0.02),
            "feedback": FeedbackSettings(path=tmp_path / "feedback.sqlite3"),
            "router": settings.router.model_copy(update={"explore": 0.4}),
        }
    )


def client(app: App, who: str) -> httpx2.AsyncClient:
    headers = {"authorization": f"Bearer {KEYS[who]}"}
    return httpx2.AsyncClient(base_url=f"http://{app.http_address}", timeout=60, headers=headers)


async def answered_and_rated(one: App, other: App) -> list[str]:
    """Ask at one gateway, rate at the other."""
    async with client(one, "alice") as asking, client(other, "alice") as alice, client(other, "boss") as boss:
        ids = [(await asking.post("/v1/chat/completions", json=ask(n))).json()["id"] for n in range(6)]
        for number, response_id in enumerate(ids[:5]):
            rating = {"response_id": response_id, "rating": 1 if number % 2 else -1}
            answer = await alice.post(RATE, json=rating)
            assert (answer.status_code, answer.json()["known"]) == (200, True)
        await alice.post(RATE, json={"response_id": ids[0], "rating": 0.5, "better_expert": "advisor"})
        await boss.post(RATE, json={"response_id": ids[1], "rating": 0.0})
    async with client(other, "bob") as bob:
        refused = await bob.post(RATE, json={"response_id": ids[0], "rating": -1})
        assert (refused.status_code, refused.json()["error"]["code"]) == (404, "response_not_found")
        assert refused.json()["error"]["param"] == "response_id"
    return ids


async def test_what_is_rated_elsewhere_is_joined(
    shared: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    apps = [App(shared), App(shared)]
    for app in apps:
        await app.start()
    ids = await answered_and_rated(*apps)
    for app in apps:
        await app.stop()
    monkeypatch.setenv("MOEGATE_INTERACTIONS__TARGET", str(tmp_path / "kept"))
    monkeypatch.setenv("MOEGATE_FEEDBACK__PATH", str(tmp_path / "feedback.sqlite3"))
    out = tmp_path / "rated.jsonl"
    assert cli.main(["flywheel", "export", "--out", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"n": 5}
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["response_id"] for row in rows] == ids[:5]
    assert [row["reward"] for row in rows] == [0.5, 0.5, -1, 1, -1]
    assert rows[0]["better_expert"] == "advisor"
    assert {row["client_id"] for row in rows} == {"alice"}
    assert all(0 < row["propensity"] < 1 and row["propensity"] == row["chances"][row["expert"]] for row in rows)
    assert offpolicy.main(["--log", str(out), "--artifact", str(DEFAULT_PATH), "--json"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["n"] == 5
    assert found["logged"]["value"] == pytest.approx(0.0)
    assert cli.main(["flywheel", "forget", "--client", "alice", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"records": 6, "segments": 1, "ratings": 5}
    assert cli.main(["flywheel", "export", "--out", str(out)]) == 0
    assert out.read_text() == ""
