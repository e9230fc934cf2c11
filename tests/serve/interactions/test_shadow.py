"""A candidate answers unseen what users have been answered: beside them, after them, and never in their way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import httpx2
import pytest
import yaml

from experts.flywheel.registry import Registry
from serve.app import App
from serve.costs.ledger import Waste
from serve.interactions import segments
from serve.interactions.stores import FolderStore
from serve.settings.tree import Settings
from tests.fakes.expert_server import FakeExperts
from tests.helpers import until

URL = "/v1/chat/completions"


@pytest.fixture
def catalog_file(catalog_file: Path) -> Path:
    """The usual catalogue, the advisor's entry made the coder's candidate, which answers everything unseen."""
    catalog = yaml.safe_load(catalog_file.read_text())
    catalog["experts"][2] |= {"canary_of": "coder", "shadow_share": 1.0}
    catalog_file.write_text(yaml.safe_dump(catalog))
    return catalog_file


@pytest.fixture
def overrides(overrides: dict[str, Any]) -> dict[str, Any]:
    return overrides | {"admission": {"max_in_flight": 4}}


def ask(number: int = 0) -> dict[str, Any]:
    return {"model": "coder", "messages": [{"role": "user", "content": f"Fix f{number}, mail jo@example.org"}]}


def kept(tmp_path: Path) -> list[dict[str, Any]]:
    return list(segments.every_row(FolderStore(tmp_path / "kept")))


def shadows(tmp_path: Path) -> list[dict[str, Any]]:
    return [row for row in kept(tmp_path) if segments.is_shadow(row)]


async def test_its_answer_is_recorded_beside_the_users(
    app: App, http: httpx2.AsyncClient, experts: FakeExperts, tmp_path: Path, sample: Callable[..., float]
) -> None:
    experts["advisor"].words = ["Good", " day!"]
    answer = (await http.post(URL, json=ask())).json()
    assert answer["model"] == "coder"
    await until(lambda: shadows(tmp_path))
    [row] = shadows(tmp_path)
    assert row["moegate"]["shadow_of"] == answer["id"]
    assert row["moegate"]["expert"] == row["response"]["model"] == "advisor"
    assert row["response"]["choices"][0]["message"]["content"] == "Good day!"
    assert "jo@example" not in str(row) and "<EMAIL_1>" in str(row["request"])
    assert row["moegate"]["cost_usd"] > 0
    assert sample("moegate_shadows_total", canary="advisor", outcome="answered") == 1
    assert app._ledger.wasted["advisor", Waste.SHADOW] == app._ledger.spent["advisor"] > 0
    assert sample("moegate_requests_total", expert="advisor", door="http", outcome="ok") == 0
    assert [row["response"]["id"] for row in segments.rows(FolderStore(tmp_path / "kept"))] == [answer["id"]]


async def test_who_is_not_kept_is_not_mirrored(http: httpx2.AsyncClient, experts: FakeExperts, tmp_path: Path) -> None:
    await http.post(URL, json=ask() | {"store": False})
    await http.post(URL, json=ask(1) | {"model": "generalist"})
    await http.post(URL, json=ask(2))
    await until(lambda: shadows(tmp_path))
    assert len(experts["advisor"].requests) == 1


async def test_a_candidate_that_fails_is_recorded_and_costs_nobody_a_circuit(
    app: App, http: httpx2.AsyncClient, experts: FakeExperts, tmp_path: Path
) -> None:
    experts["advisor"].refuse = (grpc.StatusCode.INTERNAL, "broken")
    for number in range(8):
        assert (await http.post(URL, json=ask(number))).status_code == 200
        await until(lambda want=number + 1: len(shadows(tmp_path)) >= want)  # type: ignore[misc]
    assert {row["moegate"]["error"] for row in shadows(tmp_path)} == {"expert_failed"}
    assert not app._dispatcher.is_open("advisor")


async def test_users_come_first(
    app: App, http: httpx2.AsyncClient, experts: FakeExperts, sample: Callable[..., float], tmp_path: Path
) -> None:
    experts["advisor"].gap_s = 0.05
    experts["advisor"].words = ["word "] * 400
    await http.post(URL, json=ask())
    await until(lambda: experts["advisor"].live == 1)
    experts["coder"].gate.clear()
    full = [asyncio.create_task(http.post(URL, json=ask(1 + at))) for at in range(5)]
    await until(lambda: sample("moegate_shadows_total", canary="advisor", outcome="shed") >= 1)
    await until(lambda: experts["advisor"].live == 0)
    experts["coder"].gate.set()
    assert {answer.status_code for answer in await asyncio.gather(*full)} == {200}
    assert app._ledger.wasted["advisor", Waste.SHADOW] > 0, "what was cut off is paid for"


async def test_no_more_than_a_few_at_once_and_all_end_with_the_gateway(
    settings: Settings, experts: FakeExperts
) -> None:
    app = App(settings)
    await app.start()
    experts["advisor"].gate.clear()
    async with httpx2.AsyncClient(base_url=f"http://{app.http_address}", timeout=60) as http:
        for number in range(40):
            await http.post(URL, json=ask(number))
        await until(lambda: experts["advisor"].live == 2)
        shed = app.metrics.registry.get_sample_value("moegate_shadows_total", {"canary": "advisor", "outcome": "shed"})
        assert shed == 40 - 2 - 32
    await app.stop()
    await until(lambda: experts["advisor"].live == 0)


async def test_the_registry_says_when(
    app: App, http: httpx2.AsyncClient, experts: FakeExperts, tmp_path: Path, sample: Callable[..., float]
) -> None:
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "weights.bin").write_text("new")
    registry = Registry(app.settings.flywheel.place / "registry", "coder")
    digest = registry.add(folder, {})
    registry.try_out(digest, 0.5, is_shadow=True, by="jo", why="")
    await until(lambda: sample("moegate_trial_share", canary="advisor", kind="shadow") == 0.5)
    registry.try_out(digest, 0.25, is_shadow=False, by="jo", why="")
    await until(lambda: sample("moegate_trial_share", canary="advisor", kind="canary") == 0.25)
    assert sample("moegate_trial_share", canary="advisor", kind="shadow") == 0
    registry.promote(digest, by="jo", why="better")
    await until(lambda: sample("moegate_flywheel_changes", expert="coder", event="promoted") == 1)
    assert not app._trials.shadows and not app.gateway._canaries  # type: ignore[union-attr]
    before = len(experts["advisor"].requests)
    await http.post(URL, json=ask())
    assert len(experts["advisor"].requests) == before


async def test_forgetting_an_answer_forgets_its_shadow(http: httpx2.AsyncClient, tmp_path: Path) -> None:
    answer = (await http.post(URL, json=ask())).json()
    await until(lambda: len(kept(tmp_path)) == 2)
    gone = segments.forget(FolderStore(tmp_path / "kept"), segments.of_response(answer["id"]))
    assert (gone.records, kept(tmp_path)) == (2, [])
