"""The router's artefact replaced under a serving gateway."""

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from router.model.artifact import DEFAULT_PATH, load, save
from serve.app import App
from tests.helpers import CHAT, until

HELLO = {"messages": [{"role": "user", "content": "Fix this Python function: def f(x) return x"}]}


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    return shutil.copy(DEFAULT_PATH, tmp_path / "router.npz")


@pytest.fixture
def overrides(artifact: Path) -> dict[str, Any]:
    return {"router": {"artifact": artifact, "reload_interval_s": 0.02}}


def spoil(path: Path) -> None:
    path.write_bytes(b"half a file")


def lose(path: Path) -> None:
    path.unlink()


async def version(http: httpx2.AsyncClient) -> str:
    return str((await http.post(CHAT, json=HELLO)).headers["x-moegate-router"])


async def test_a_new_artefact_is_taken_and_a_broken_one_refused(
    app: App, http: httpx2.AsyncClient, artifact: Path, sample: Callable[..., float]
) -> None:
    first = await version(http)
    second = save(replace(load(artifact), abstain_below=0.123), artifact)
    await until(lambda: sample("moegate_router_reloads_total", outcome="taken") == 1)
    assert await version(http) == second != first
    infos = [
        one
        for family in app.metrics.registry.collect()
        if family.name == "moegate_build_info"
        for one in family.samples
    ]
    assert [one.labels["router"] for one in infos] == [second]

    spoil(artifact)
    await until(lambda: sample("moegate_router_reloads_total", outcome="refused") == 1)
    assert await version(http) == second
    await asyncio.sleep(0.1)
    assert sample("moegate_router_reloads_total", outcome="refused") == 1  # once a change, not once a look

    third = save(replace(load(DEFAULT_PATH), abstain_below=0.2), artifact)
    await until(lambda: sample("moegate_router_reloads_total", outcome="taken") == 2)
    assert await version(http) == third


async def test_a_missing_file_leaves_the_last_good_one(
    http: httpx2.AsyncClient, artifact: Path, sample: Callable[..., float]
) -> None:
    first = await version(http)
    lose(artifact)
    await until(lambda: sample("moegate_router_reloads_total", outcome="refused") >= 1)
    assert await version(http) == first
