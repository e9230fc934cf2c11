"""`moegate flywheel adopt`, `shadow` and `canary`, beside a gateway that has traffic."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from experts.flywheel.registry import Registry
from serve import cli
from serve.app import App
from tests.fakes.expert_server import FakeExperts
from tests.helpers import until

Run = Callable[..., Awaitable[tuple[int, dict[str, Any]]]]


@pytest.fixture
def catalog_file(catalog_file: Path, tmp_path: Path) -> Path:
    """The usual catalogue, the advisor's entry made the coder's canary."""
    (tmp_path / "shipped").mkdir()
    (tmp_path / "shipped" / "weights.bin").write_text("shipped")
    catalog = yaml.safe_load(catalog_file.read_text())
    catalog["experts"][1]["adapter"] = str(tmp_path / "shipped")
    catalog["experts"][2] |= {"canary_of": "coder"}
    catalog_file.write_text(yaml.safe_dump(catalog))
    return catalog_file


@pytest.fixture
def overrides(tmp_path: Path) -> dict[str, Any]:
    return {
        "interactions": {"keys": ["*"], "target": str(tmp_path / "kept"), "flush_s": 0.02},
        "feedback": {"path": tmp_path / "feedback.sqlite3"},
        "flywheel": {
            "folder": tmp_path / "flywheel",
            "stages": [{"share": 0.2, "answers": 5}, {"share": 0.5, "answers": 10}],
            "shadow_share": 1.0,
        },
        "dispatch": {"circuit": {"failures": 1000}, "retry_ratio": 1.0, "retry_burst": 1000.0, "retries": 0},
    }


@pytest.fixture
def run(overrides: dict[str, Any], catalog_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `moegate flywheel ...` with the gateway's own settings; the exit status and its JSON line."""
    settings = tmp_path / "gateway.yaml"
    content = {**overrides, "experts": {"catalog": str(catalog_file)}}
    settings.write_text(yaml.safe_dump(json.loads(json.dumps(content, default=str))))

    async def command(*words: str) -> tuple[int, dict[str, Any]]:
        arguments = ["flywheel", *words, "--json", "--config", str(settings)]
        status = await asyncio.to_thread(cli.main, arguments)
        out, err = capsys.readouterr()
        return status, json.loads(out.splitlines()[-1]) if status == 0 else {"error": err}

    return command


@pytest.fixture
def digest(tmp_path: Path) -> str:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "weights.bin").write_text("new")
    return Registry(tmp_path / "flywheel" / "registry", "coder").add(tmp_path / "new", {})


async def ask(app: App, count: int, first: int = 0) -> set[int]:
    """Ask the coder so many questions, each in a conversation of its own."""
    async with httpx2.AsyncClient(base_url=f"http://{app.http_address}", timeout=60) as http:
        answers = [
            await http.post(
                "/v1/chat/completions",
                json={"messages": [{"role": "user", "content": f"Fix this Python function: def f{first + at}(x) x"}]},
            )
            for at in range(count)
        ]
    return {answer.status_code for answer in answers}


async def test_from_unseen_to_half_of_the_traffic(
    app: App, run: Run, digest: str, tmp_path: Path, sample: Callable[..., float]
) -> None:
    status, adopted = await run("adopt", "coder")
    assert status == 0
    assert (Path(adopted["current"]) / "weights.bin").read_text() == "shipped"
    assert (await run("canary", "coder"))[1]["error"].count("nobody is on trial")
    status, said = await run("shadow", "coder", "--candidate", digest)
    assert (status, said["trial"]["event"], said["verdict"]) == (0, "shadow", "too little data")
    await until(lambda: sample("moegate_trial_share", canary="advisor", kind="shadow") == 1.0)
    for first in range(0, 60, 10):  # a few wait for their turn at once; more are shed
        await ask(app, 10, first)
        await until(
            lambda want=first + 10: sample("moegate_shadows_total", canary="advisor", outcome="answered") >= want
        )  # type: ignore[misc]
    await until(lambda: sample("moegate_interactions_total", outcome="kept") == 120)
    status, said = await run("shadow", "coder")
    assert (said["verdict"], said["findings"][0]["n"]) == ("no headroom", 60)

    status, said = await run("canary", "coder")
    assert status == 1 and "Nobody is here to ask: say --yes" in said["error"]
    status, said = await run("canary", "coder", "--yes")
    assert (said["move"], said["share"]) == ("up", 0.2)
    await until(lambda: sample("moegate_trial_share", canary="advisor", kind="canary") == 0.2)
    assert (await run("canary", "coder"))[1]["move"] == "wait"
    await ask(app, 80, 1000)
    await seen(app, run, "up", 0.5)
    await until(lambda: sample("moegate_trial_share", canary="advisor", kind="canary") == 0.5)
    await ask(app, 60, 2000)
    await seen(app, run, "passed", 0.5)
    events = [change.event for change in Registry(tmp_path / "flywheel" / "registry", "coder").history()]
    assert events == ["adopted", "shadow", "canary", "canary"]
    assert (await run("canary", "coder", "--off"))[0] == 0
    assert (await run("shadow", "coder", "--off"))[1]["error"].count("nobody is on trial")


async def seen(app: App, run: Run, move: str, share: float) -> None:
    """Wait until the gateway has told what it has seen, and that leads to this; a doubt that chance raised goes by."""
    for turn in range(50):
        _, said = await run("canary", "coder")
        if said["move"] == move:
            assert said["share"] == share
            return
        assert said["move"] in ("wait", "hold")
        await ask(app, 10, 10_000 + 10 * turn)
        await asyncio.sleep(0.1)
    raise AssertionError(said)


async def test_a_worse_one_is_ended_and_the_next_one_begins_anew(
    app: App, run: Run, digest: str, experts: FakeExperts, tmp_path: Path, sample: Callable[..., float]
) -> None:
    registry = Registry(tmp_path / "flywheel" / "registry", "coder")
    registry.try_out(digest, 0.5, is_shadow=False, by="jo", why="")
    await until(lambda: sample("moegate_trial_share", canary="advisor", kind="canary") == 0.5)
    experts["advisor"].lose_begun = 10_000
    assert await ask(app, 60) == {200}
    await until(lambda: sample("moegate_trial_share", canary="advisor", kind="canary") == 0)
    await until((tmp_path / "flywheel" / "ended-trials.jsonl").exists)
    status, said = await run("canary", "coder")
    assert (status, said["move"], said["share"]) == (0, "end", 0.0)
    assert said["why"].startswith("it is worse: error, ")
    assert registry.history()[-1].event == "ended"
    (tmp_path / "newer").mkdir()
    (tmp_path / "newer" / "weights.bin").write_text("newer")
    newer = registry.add(tmp_path / "newer", {})
    registry.try_out(newer, 0.5, is_shadow=False, by="jo", why="")
    await until(lambda: sample("moegate_trial_share", canary="advisor", kind="canary") == 0.5)


async def test_what_cannot_be(run: Run, digest: str) -> None:
    for words, complaint in (
        (("shadow", "nobody"), "there is no expert 'nobody'"),
        (("shadow", "coder", "--candidate", "x"), "there is no candidate x"),
        (("adopt", "generalist"), "names no adapter in a folder"),
        (("shadow", "generalist", "--candidate", digest), "there is no candidate"),
        (("canary", "generalist"), "nobody is on trial"),
    ):
        status, said = await run(*words)
        assert (status, complaint in said["error"]) == (1, True), said
