"""Prices and shares change while a gateway serves; a request is charged by the prices under which it began."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest
import yaml

from serve.app import App
from tests.fakes.expert_server import FakeExperts
from tests.helpers import CHAT, until

ASK = {"model": "coder", "messages": [{"role": "user", "content": "hello"}]}
LABELS = {"configuration": "catalog"}
Sample = Callable[..., float]


def edit(path: Path, **fields: Any) -> None:
    content = yaml.safe_load(path.read_text())
    next(entry for entry in content["experts"] if entry["name"] == "coder").update(fields)
    path.write_text(yaml.safe_dump(content))


def per_million(prompt: float, completion: float) -> dict[str, Any]:
    return {"usd_per_million": {"prompt": prompt, "completion": completion}}


async def cost(http: httpx2.AsyncClient) -> float:
    return float((await http.post(CHAT, json=ASK)).json()["usage"]["cost_usd"])


async def test_a_price_changes_and_what_runs_keeps_its_own(
    app: App, http: httpx2.AsyncClient, experts: FakeExperts, catalog_file: Path, sample: Sample
) -> None:
    assert await cost(http) == pytest.approx((7 * 1 + 3 * 2) / 1e6)
    experts["coder"].gate = asyncio.Event()
    body = {**ASK, "stream": True, "stream_options": {"include_usage": True}}
    running = asyncio.create_task(http.post(CHAT, json=body))
    await until(lambda: len(experts["coder"].requests) == 2)
    edit(catalog_file, price=per_million(100, 200), description="dearer")
    await until(lambda: sample("moegate_configuration_reloads_total", **LABELS, outcome="taken") == 1)
    experts["coder"].gate.set()
    [*_, last, _] = [line for line in (await running).text.splitlines() if line.startswith("data: ")]
    assert orjson.loads(last[6:])["usage"]["cost_usd"] == pytest.approx(13e-6)
    assert await cost(http) == pytest.approx(1300e-6)
    spent = sample("moegate_cost_usd_total", expert="coder", basis="configured")
    assert spent == pytest.approx(13e-6 + 13e-6 + 1300e-6), "the sum of what the clients were told"
    entries = (await http.get("/v1/models")).json()["data"]
    assert next(entry for entry in entries if entry["id"] == "coder")["description"] == "dearer"


async def test_a_broken_catalogue_is_refused_and_what_needs_a_restart_is_named(
    app: App, http: httpx2.AsyncClient, catalog_file: Path, sample: Sample, caplog: pytest.LogCaptureFixture
) -> None:
    edit(catalog_file, price=per_million(-1, 0))
    await until(lambda: sample("moegate_configuration_reloads_total", **LABELS, outcome="refused") == 1)
    edit(catalog_file, price=per_million(3, 0), context_window=77)
    await until(lambda: sample("moegate_configuration_reloads_total", **LABELS, outcome="taken") == 1)
    assert await cost(http) == pytest.approx(21e-6)
    [line] = [line for line in caplog.records if hasattr(line, "needs_restart")]
    assert line.needs_restart == ["experts.coder.context_window"]
    spec = app.gateway.catalog.get("coder")
    assert spec is not None
    assert spec.context_window == 1000
