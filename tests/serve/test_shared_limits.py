"""Two gateways, one key: they share its account in a file or in Redis, whichever of them a request meets."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from serve.app import App
from serve.settings.tree import Settings
from tests.fakes.expert_server import FakeExperts
from tests.fakes.redis_server import MISSING, redis_server
from tests.helpers import until
from tests.serve.test_access import BODY, CHAT, KEY, bearer, entry

ONE = 13e-6  # USD that an answer of the fakes costs


@pytest_asyncio.fixture(params=["file", "redis"])
async def shared(request: pytest.FixtureRequest, settings: Settings, tmp_path: Path) -> AsyncIterator[Settings]:
    if request.param == "file":
        yield with_access(settings, accounts=tmp_path / "accounts")
        return
    with redis_server(tmp_path) as port:
        if port is None:
            pytest.skip(MISSING)
        yield with_access(settings, redis_url=f"redis://127.0.0.1:{port}", redis_timeout_s=5.0)


def with_access(settings: Settings, **fields: Any) -> Settings:
    return settings.model_copy(update={"access": settings.access.model_copy(update=fields)})


@pytest_asyncio.fixture
async def gateways(shared: Settings) -> AsyncIterator[list[App]]:
    apps = [App(shared), App(shared)]
    for app in apps:
        await app.start()
    yield apps
    for app in apps:
        await app.stop()


async def ask(app: App) -> httpx2.Response:
    async with httpx2.AsyncClient(base_url=f"http://{app.http_address}", timeout=60) as http:
        return await http.post(CHAT, json=BODY, headers=bearer(KEY))


@pytest.mark.parametrize(
    ("overrides", "answered"),
    [
        ({"access": {"keys": [entry(KEY, "alpha", **limits)]}}, answered)
        for limits, answered in (
            ({"usd": 0.000002}, 1),
            ({"usd": ONE}, 1),
            ({"usd": 0.0035}, 3),
            ({"tpm": 100}, 1),
            ({"tpm": 1300}, 2),
            ({"rpm": 5}, 5),
        )
    ],
)
async def test_twelve_at_once_through_two_gateways(gateways: list[App], experts: FakeExperts, answered: int) -> None:
    experts["coder"].gate.clear()
    asking = [asyncio.create_task(ask(gateways[i % 2])) for i in range(12)]
    await until(
        lambda: sum(task.done() for task in asking) + sum(app.gateway._admission.in_flight for app in gateways) == 12
    )
    experts["coder"].gate.set()
    responses = await asyncio.gather(*asking)
    assert Counter(response.status_code for response in responses) == {200: answered, 429: 12 - answered}
    assert all(1 <= int(r.headers["retry-after"]) <= 60 for r in responses if r.status_code == 429)


@pytest.mark.parametrize("overrides", [{"access": {"keys": [entry(KEY, "alpha", usd=1.5 * ONE)]}}])
async def test_what_one_has_spent_the_other_and_the_next_one_know(shared: Settings, gateways: list[App]) -> None:
    first, second, third = [await ask(gateways[i]) for i in (0, 1, 0)]
    assert [response.status_code for response in (first, second, third)] == [200, 200, 429]
    assert float(first.headers["x-moegate-budget-remaining-usd"]) == pytest.approx(0.5 * ONE)
    assert second.headers["x-moegate-budget-remaining-usd"] == third.headers["x-moegate-budget-remaining-usd"] == "0"
    restarted = App(shared)
    await restarted.start()
    refused = await ask(restarted)
    await restarted.stop()
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "insufficient_quota")
