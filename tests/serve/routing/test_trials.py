"""A canary that is worse loses its traffic by itself, at this gateway, at the next one, and over a restart."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from serve.app import App
from serve.settings.flywheel import FlywheelSettings
from serve.settings.tree import FeedbackSettings, Settings
from tests.fakes.expert_server import FakeExperts
from tests.helpers import until

SHARE = 0.25


@pytest.fixture
def catalog_file(catalog_file: Path) -> Path:
    """The usual catalogue, the advisor's entry made the coder's canary."""
    catalog = yaml.safe_load(catalog_file.read_text())
    catalog["experts"][2] |= {"canary_of": "coder", "canary_share": SHARE}
    catalog_file.write_text(yaml.safe_dump(catalog))
    return catalog_file


@pytest.fixture
def overrides(tmp_path: Path) -> dict[str, Any]:
    return {
        "flywheel": {"folder": tmp_path / "flywheel"},
        "feedback": {"path": tmp_path / "feedback.sqlite3"},
        "dispatch": {"circuit": {"failures": 1000}, "retry_ratio": 1.0, "retry_burst": 1000.0, "retries": 0},
    }


async def ask(http: httpx2.AsyncClient, number: int) -> httpx2.Response:
    words = f"Fix this Python function: def f{number}(x) return x"
    return await http.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": words}]})


def over(folder: Path) -> list[dict[str, Any]]:
    path = folder / "ended-trials.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


async def ask_until_over(app: App, sample: Callable[..., float], kind: str) -> tuple[int, set[int]]:
    """Ask until the trial is over; returns how many requests that took, and their statuses."""
    statuses = set()
    async with httpx2.AsyncClient(base_url=f"http://{app.http_address}", timeout=60) as http:
        for number in range(2000):
            answer = await ask(http, number)
            statuses.add(answer.status_code)
            if kind == "rating" and answer.json()["model"] == "advisor":
                await http.post("/v1/feedback", json={"response_id": answer.json()["id"], "rating": -1})
            if sample("moegate_trials_ended_total", canary="advisor", kind=kind):
                return number + 1, statuses
    raise AssertionError("its trial went on")


async def test_a_canary_that_fails_is_stopped_and_nobody_notices(
    app: App, experts: FakeExperts, sample: Callable[..., float], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    experts["advisor"].lose_begun = 10_000
    asked, statuses = await ask_until_over(app, sample, "error")
    assert statuses == {200}
    seen = len(experts["advisor"].requests)
    assert asked <= 200
    assert "a canary's trial is over: it is worse" in {record.getMessage() for record in caplog.records}
    async with httpx2.AsyncClient(base_url=f"http://{app.http_address}", timeout=60) as http:
        models = {(await ask(http, 5000 + number)).json()["model"] for number in range(40)}
    assert models == {"coder"}
    assert len(experts["advisor"].requests) == seen
    await until(lambda: over(tmp_path / "flywheel"))
    [line] = over(tmp_path / "flywheel")
    assert (line["canary"], line["kind"]) == ("advisor", "error")


async def test_one_that_people_dislike_is_stopped(app: App, sample: Callable[..., float]) -> None:
    asked, statuses = await ask_until_over(app, sample, "rating")
    assert (statuses, asked <= 200) == ({200}, True)


def change(catalog_file: Path, **fields: Any) -> None:
    catalog = yaml.safe_load(catalog_file.read_text())
    catalog["experts"][2] |= fields
    catalog_file.write_text(yaml.safe_dump(catalog))


async def test_what_one_gateway_ends_is_over_at_all_until_it_is_another_canary(
    settings: Settings, experts: FakeExperts, catalog_file: Path, tmp_path: Path
) -> None:
    folder = FlywheelSettings(folder=tmp_path / "flywheel")
    changed = {"flywheel": folder, "feedback": FeedbackSettings(path=tmp_path / "f.sqlite3")}
    apps = [App(settings.model_copy(update=changed)) for _ in range(2)]
    for app in apps:
        await app.start()
    experts["advisor"].lose_begun = 10_000

    def read(name: str, **labels: str) -> float:
        return apps[0].metrics.registry.get_sample_value(name, labels) or 0.0

    await ask_until_over(apps[0], read, "error")
    await until(lambda: not apps[1].gateway._canaries)
    for app in apps:
        await app.stop()
    restarted = App(settings.model_copy(update=changed))
    assert not restarted.gateway._canaries
    change(catalog_file, canary_share=0.1)
    assert not App(settings.model_copy(update=changed)).gateway._canaries, "the share alone makes it no other one"
    change(catalog_file, base="some/where/else")
    assert set(App(settings.model_copy(update=changed)).gateway._canaries) == {"coder"}


async def test_a_good_canary_goes_on(app: App, http: httpx2.AsyncClient, sample: Callable[..., float]) -> None:
    models = [(await ask(http, number)).json()["model"] for number in range(150)]
    assert set(models) == {"advisor", "coder"}
    assert not [
        one
        for kind in ("error", "slow", "dear")
        if (one := sample("moegate_trials_ended_total", canary="advisor", kind=kind))
    ]
