"""A router's candidate through real doors: beside the one that serves, for a share of traffic, stopped, promoted."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from experts.flywheel.progress import read_progress
from experts.flywheel.registry import Registry
from router.model.artifact import DEFAULT_PATH, load, save
from serve import cli
from serve.app import App
from serve.routing.router_trial import ARTIFACT, stamp_of_router
from serve.settings.tree import Settings
from tests.fakes.expert_server import FakeExperts
from tests.helpers import until

ANSWERS = 8


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """The router's registry: what ships decides."""
    found = Registry(tmp_path / "flywheel" / "router", "router")
    found.adopt(artifact(tmp_path / "shipped"), by="jo")
    return found


def artifact(folder: Path, **changes: Any) -> Path:
    """A folder with a router: the one that ships, or another one."""
    folder.mkdir()
    if changes:
        save(replace(load(DEFAULT_PATH), **changes), folder / ARTIFACT)
    else:
        (folder / ARTIFACT).write_bytes(DEFAULT_PATH.read_bytes())
    return folder


@pytest.fixture
def overrides(registry: Registry, tmp_path: Path) -> dict[str, Any]:
    stages = [{"share": 0.25, "answers": ANSWERS}, {"share": 0.5, "answers": ANSWERS}]
    return {
        "router": {"artifact": registry.link / ARTIFACT, "reload_interval_s": 0.05},
        "flywheel": {
            "folder": tmp_path / "flywheel",
            "stages": stages,
            "shadow_share": 1.0,
            "shadow_answers": ANSWERS,
        },
        "feedback": {"path": tmp_path / "feedback.sqlite3"},
    }


@pytest.fixture
def timid(registry: Registry, tmp_path: Path) -> str:
    """A candidate that is never sure, so everything goes to the generalist."""
    return registry.add(artifact(tmp_path / "timid", abstain_below=1.0), {"judgement": {"verdict": "better"}})


async def ask(http: httpx2.AsyncClient, number: int) -> httpx2.Response:
    words = f"Fix this Python function: def f{number}(x) return x"
    answer = await http.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": words}]})
    assert answer.status_code == 200
    return answer


@pytest.fixture
def command(settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Runs `moegate flywheel … --json` with the gateway's settings."""
    content = settings.model_dump(mode="json", include={"experts", "router", "flywheel", "feedback"})
    (tmp_path / "gateway.yaml").write_text(json.dumps(content))

    def run(*words: str) -> Any:
        status = cli.main(["flywheel", *words, "--config", str(tmp_path / "gateway.yaml"), "--json"])
        out, err = capsys.readouterr()
        assert status == 0, err
        return json.loads(out.splitlines()[-1])

    return run


async def test_beside_then_a_share_then_promoted(
    app: App,
    http: httpx2.AsyncClient,
    timid: str,
    command: Callable[..., Any],
    sample: Callable[..., float],
    tmp_path: Path,
) -> None:
    stamp, folder = stamp_of_router(timid), tmp_path / "flywheel" / "trials"
    shadow = command("shadow", "router", "--candidate", timid)
    assert (shadow["trial"]["event"], shadow["n"]) == ("shadow", 0)
    assert command("canary", "router", "--yes")["move"] == "wait"
    await until(lambda: sample("moegate_trial_share", canary="router", kind="shadow") == 1.0)
    for number in range(ANSWERS):
        assert (await ask(http, number)).json()["model"] == "coder", "nobody notices"
    assert sample("moegate_router_shadows_total", expert="coder", candidate="generalist") == ANSWERS
    await until(lambda: command("shadow", "router")["other"] == ANSWERS)
    for share, first in ((0.25, 1000), (0.5, 2000)):
        moved = command("canary", "router", "--yes")
        assert (moved["move"], moved["share"]) == ("up", share)
        await until(lambda share=share: sample("moegate_trial_share", canary="router", kind="canary") == share)
        models = Counter([(await ask(http, first + number)).json()["model"] for number in range(80)])
        assert models["generalist"] >= ANSWERS
        assert models["coder"] >= ANSWERS
        await until(lambda share=share: read_progress(folder, stamp).answers[share] >= ANSWERS)
    assert command("canary", "router")["move"] == "passed"
    command("promote", "router", timid, "--yes")
    await until(lambda: sample("moegate_router_reloads_total", outcome="taken") == 1)
    assert {(await ask(http, 5000 + number)).json()["model"] for number in range(20)} == {"generalist"}
    command("rollback", "router")
    await until(lambda: sample("moegate_router_reloads_total", outcome="taken") == 2)
    assert (await ask(http, 9000)).json()["model"] == "coder"


async def rate_until_over(app: App, sample: Callable[..., float]) -> int:
    """Ask, and dislike what the generalist says, until the trial is over; returns how many requests that took."""
    async with httpx2.AsyncClient(base_url=f"http://{app.http_address}", timeout=60) as http:
        for number in range(500):
            answer = (await ask(http, number)).json()
            if answer["model"] == "generalist":
                await http.post("/v1/feedback", json={"response_id": answer["id"], "rating": -1})
            if sample("moegate_trials_ended_total", canary="router", kind="rating"):
                return number + 1
    raise AssertionError("its trial went on")


async def test_one_that_people_dislike_is_stopped_at_all_gateways_and_stays_so(
    app: App, settings: Settings, registry: Registry, timid: str, sample: Callable[..., float], tmp_path: Path
) -> None:
    other = App(settings)
    await other.start()
    registry.try_out(timid, 0.25, is_shadow=False, by="jo", why="")
    for one in (app, other):
        await until(lambda one=one: one._router_trial.router.on_trial is not None)
    assert await rate_until_over(app, sample) <= 200
    assert app._router_trial is not None and app._router_trial.router.on_trial is None
    await until(lambda: other._router_trial.router.on_trial is None)  # type: ignore[union-attr]
    await other.stop()
    [line] = (tmp_path / "flywheel" / "ended-trials.jsonl").read_text().splitlines()
    assert (json.loads(line)["canary"], json.loads(line)["kind"]) == ("router", "rating")
    again = App(settings)
    await again.start()
    await until(
        lambda: (
            again.metrics.registry.get_sample_value("moegate_flywheel_changes", {"expert": "router", "event": "canary"})
            == 1
        )
    )
    assert again._router_trial is not None and again._router_trial.router.on_trial is None
    await again.stop()


async def test_one_that_fails_more_often_is_stopped(
    app: App, experts: FakeExperts, registry: Registry, timid: str, sample: Callable[..., float]
) -> None:
    experts["generalist"].lose_begun = 10_000
    registry.try_out(timid, 0.25, is_shadow=False, by="jo", why="")
    await until(lambda: sample("moegate_trial_share", canary="router", kind="canary") == 0.25)
    async with httpx2.AsyncClient(base_url=f"http://{app.http_address}", timeout=60) as http:
        for number in range(300):
            await http.post(
                "/v1/chat/completions",
                json={
                    "messages": [{"role": "user", "content": f"Fix this Python function: def f{number}(x) return x"}]
                },
            )
            if sample("moegate_trials_ended_total", canary="router", kind="error"):
                break
    assert sample("moegate_trials_ended_total", canary="router", kind="error") == 1
    assert number < 200


async def test_an_artefact_that_cannot_be_read_is_on_trial_nowhere(
    app: App, http: httpx2.AsyncClient, registry: Registry, tmp_path: Path, sample: Callable[..., float]
) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / ARTIFACT).write_text("half a file")
    digest = registry.add(tmp_path / "broken", {})
    registry.try_out(digest, 0.5, is_shadow=False, by="jo", why="")
    await until(lambda: sample("moegate_flywheel_changes", expert="router", event="canary") == 1)
    assert sample("moegate_trial_share", canary="router", kind="canary") == 0
    assert {(await ask(http, number)).json()["model"] for number in range(10)} == {"coder"}


@pytest.mark.parametrize("overrides", [{}])
async def test_without_the_registrys_router_there_is_nothing_of_it(app: App, http: httpx2.AsyncClient) -> None:
    assert app._router_trial is None
    assert app.gateway._router is app._router
    await ask(http, 1)
