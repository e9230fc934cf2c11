"""docs/adding-an-expert.md works as it is written: its steps in a copy of the checkout give a sixth expert."""

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
import yaml

from router.policy.decide import ExpertState
from router.router import Router
from router.training.dataset import Row, read_rows
from serve.app import App
from serve.settings.tree import Settings, load_settings
from tests.fakes.expert_server import FakeExperts
from tests.followed_page import ROOT, copy_checkout, run, steps
from tests.helpers import CHAT

PAGE = "adding-an-expert.md"
EXPERT = "translator"
DATA = ROOT / "tests" / "data"
UNSEEN = [json.loads(line)["messages"] for line in (DATA / "expert_unseen.jsonl").read_text().splitlines()]
REACHED = 16  # of the twenty unseen requests, by `auto`
REACHED_BY_WORDS = 5  # of them, before anything is trained
MOST_LOST = 0.005  # of the gold set, by the experts that were there before
GOLD = read_rows([DATA / "router_gold.jsonl"])
WORDED = [row for row in GOLD if not row.query.has_tools]
TOOLS = [{"type": "function", "function": {"name": "get_weather", "description": "Get the weather of a city"}}]


def catalog_of(file: Path) -> list[str]:
    return [entry["name"] for entry in yaml.safe_load(file.read_text())["experts"]]


def commands(page: str) -> list[str]:
    """The lines of a page's `sh` blocks, without their comments."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", (ROOT / "docs" / page).read_text(), re.MULTILINE | re.DOTALL)
    return [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]


@asynccontextmanager
async def gateway(settings: Settings, *names: str) -> AsyncIterator[httpx2.AsyncClient]:
    """A gateway with scripted experts behind it."""
    experts = FakeExperts(*names)
    await experts.start()
    places = {"http": {"port": 0}, "grpc": {"port": 0}, "shutdown_grace_s": 0.2}
    served = {"catalog": settings.experts.catalog, "target": experts.target, "probe_interval_s": 60}
    router = settings.router.model_dump()
    app = App(load_settings(overrides={**places, "experts": served, "router": router}))
    await app.start()
    try:
        async with httpx2.AsyncClient(base_url=f"http://{app.http_address}", timeout=60) as client:
            yield client
    finally:
        await app.stop()
        await experts.stop()


async def answered_by(client: httpx2.AsyncClient, conversations: Iterable[Any], **more: Any) -> list[str]:
    """Who answers each conversation with `auto`; all must be answered."""
    found = []
    for messages in conversations:
        answer = await client.post(CHAT, json={"model": "auto", "messages": messages, **more})
        assert answer.status_code == 200, answer.text
        found.append(answer.headers["x-moegate-expert"])
    return found


def share_right(artifact: Path | None, rows: Sequence[Row]) -> float:
    """Share of rows that a router sends to an expert that they need."""
    router = Router.load(artifact)
    states = [ExpertState(name, 1 << 30, True, 0, 1, 0.0) for name in router.gate.experts]
    return float(np.mean([router.route(row.query, states).expert in row.labels for row in rows]))


def shell(checkout: Path, command: str) -> None:
    """Run a command of the page that is not ours, in the copy."""
    subprocess.run(shlex.split(command), cwd=checkout, check=True)


def route(checkout: Path, command: str) -> dict[str, Any]:
    """Run a `moegate route` of the page in the copy; return what it decided."""
    told: dict[str, Any] = json.loads(run(checkout, "serve.cli", *shlex.split(command)[1:], "--json"))
    return told


@pytest.mark.slow
async def test_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy, tried, train, used, up = commands(PAGE)
    assert up == "moegate up --config gateway.yaml"
    copy_checkout(tmp_path)
    shell(tmp_path, copy)
    step = steps(PAGE, tmp_path)
    monkeypatch.chdir(tmp_path)

    assert [next(step), next(step)] == ["my-experts.yaml", "gateway.yaml"]
    names = catalog_of(tmp_path / "my-experts.yaml")
    assert len(names) == 6 and EXPERT in names
    assert route(tmp_path, tried)["expert"] == EXPERT
    async with gateway(load_settings(tmp_path / "gateway.yaml"), *names) as client:
        assert (await answered_by(client, UNSEEN)).count(EXPERT) >= REACHED_BY_WORDS

    shutil.copy(DATA / "expert_examples.jsonl", tmp_path / f"{EXPERT}.jsonl")
    said = run(tmp_path, *shlex.split(train)[2:])
    assert f"{EXPERT}: 20 examples" in said and f"{EXPERT}.npz" in said

    assert [*step] == ["gateway.yaml"]
    decided = route(tmp_path, used)
    assert (decided["expert"], decided["reason"]) == (EXPERT, "classified")
    async with gateway(load_settings(tmp_path / "gateway.yaml"), *names) as client:
        assert (await answered_by(client, UNSEEN)).count(EXPERT) >= REACHED
        assert (await client.get("/ready")).json()["router"]["unknown_experts"] == []
    assert share_right(tmp_path / f"{EXPERT}.npz", GOLD) >= share_right(None, GOLD) - MOST_LOST


def test_the_examples_do_not_hold_what_they_are_measured_with() -> None:
    def texts(file: str) -> set[str]:
        return {json.loads(line)["messages"][-1]["content"].lower() for line in (DATA / file).read_text().splitlines()}

    assert len(texts("expert_unseen.jsonl")) == len(texts("expert_examples.jsonl")) == 20
    assert not texts("expert_unseen.jsonl") & texts("expert_examples.jsonl")


def some_experts(tmp_path: Path, *names: str) -> Settings:
    """Settings with a catalogue of which only these are left; the last one is the default."""
    catalog = yaml.safe_load((ROOT / "deploy" / "experts.yaml").read_text())
    left = [entry for entry in catalog["experts"] if entry["name"] in names]
    file = tmp_path / "few.yaml"
    file.write_text(yaml.safe_dump({"default": names[-1], "experts": left}))
    return load_settings(overrides={"experts": {"catalog": file}})


@pytest.mark.parametrize(
    "names",
    [
        ("coder", "generalist"),
        ("generalist",),
        ("researcher",),
        ("advisor", "tool-caller"),
        ("coder", "researcher", "advisor", "tool-caller"),
    ],
)
@pytest.mark.parametrize("kind", ["learned", "keywords", "examples"])
async def test_with_experts_removed_all_requests_are_answered(
    tmp_path: Path, names: tuple[str, ...], kind: str
) -> None:
    settings = some_experts(tmp_path, *names)
    settings = settings.model_copy(update={"router": settings.router.model_copy(update={"kind": kind})})
    conversations = [[{"role": "user", "content": row.query.turns[-1].text}] for row in WORDED[::20]]
    async with gateway(settings, *names) as client:
        assert set(await answered_by(client, conversations)) <= {*names}
        assert set(await answered_by(client, conversations[:8], tools=TOOLS)) <= {*names}
        assert set(await answered_by(client, conversations[:8], tools=TOOLS, tool_choice="required")) <= {*names}
        router = (await client.get("/ready")).json()["router"]
    if kind == "learned":
        known = {"coder", "researcher", "advisor", "tool-caller", "generalist"}
        assert {*router["classes_without_expert"]} == known - {*names}


@pytest.mark.parametrize("names", [("coder", "generalist"), ("coder", "advisor", "generalist")])
def test_the_words_decide_among_those_that_are_left(names: tuple[str, ...]) -> None:
    router = Router.load(default_expert=names[-1])
    states = [ExpertState(name, 8192, True, 0, 1, 0.0) for name in names]
    mine = [row for row in WORDED if len(row.labels) == 1 and row.labels[0] in names]
    for expert in names:
        own = [router.route(row.query, states).expert == expert for row in mine if expert in row.labels]
        assert np.mean(own) > 0.75, expert
