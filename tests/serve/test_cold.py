"""An expert that may have no replica: it is not probed, which would wake it, counts as able to answer, and is woken."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from serve.app import App
from tests.fakes.expert_server import FakeExperts
from tests.helpers import CHAT, until

ASK = {"messages": [{"role": "user", "content": "Fix this Python function: def f(x) return x"}]}
COLD: dict[str, Any] = {"experts": {"accept_timeout_s": 1.0}}


@pytest.fixture
def catalog_file(catalog_file: Path) -> Path:
    """The usual catalogue, its coder with no replica while nobody asks."""
    catalog = yaml.safe_load(catalog_file.read_text())
    catalog["experts"][1]["scaling"] = {"min_replicas": 0, "max_replicas": 1}
    catalog_file.write_text(yaml.safe_dump(catalog))
    return catalog_file


async def test_it_is_ready_without_being_asked(
    app: App, http: httpx2.AsyncClient, experts: FakeExperts, sample: Callable[..., float]
) -> None:
    experts["coder"].is_down = True  # a probe would fail
    for _ in range(3):
        await app.gateway.health.probe_all()
    assert sample("moegate_expert_ready", expert="coder") == 1
    assert app.gateway.health.experts["coder"].is_ready
    answer = await http.post(CHAT, json=ASK)
    assert (answer.status_code, answer.headers["x-moegate-reason"]) == (200, "fallback")
    experts["coder"].is_down = False
    assert (await http.post(CHAT, json=ASK)).json()["model"] == "coder"


@pytest.mark.parametrize("overrides", [COLD])
async def test_one_call_wakes_it_while_the_next_one_answers(
    app: App, http: httpx2.AsyncClient, experts: FakeExperts, sample: Callable[..., float]
) -> None:
    coder = experts["coder"]
    coder.replica.clear()
    cold = await http.post(CHAT, json=ASK)
    assert (cold.status_code, cold.headers["x-moegate-reason"]) == (200, "fallback")
    await until(lambda: coder.described == 1)

    others = await asyncio.gather(*(http.post(CHAT, json=ASK) for _ in range(30)))
    assert len(coder.requests) == 1, "nobody waits again for what is known to be silent"
    assert {answer.status_code for answer in others} == {200}, "and that costs no retry budget"
    coder.replica.set()
    await until(lambda: sample("moegate_wakes_total", expert="coder", outcome="answered") == 1)
    assert (await http.post(CHAT, json=ASK)).json()["model"] == "coder"
    assert coder.described == 1, "one call, however many asked; none once it was awake"
    assert sample("moegate_circuit_state", expert="coder") == 0
    assert app.gateway.health.experts["coder"].structured_output is False, "what it said of itself is known"


@pytest.mark.parametrize("overrides", [COLD])
async def test_who_leaves_leaves_it_waking_and_a_pinned_request_waits_for_it(
    http: httpx2.AsyncClient, experts: FakeExperts, sample: Callable[..., float]
) -> None:
    coder = experts["coder"]
    coder.replica.clear()
    with pytest.raises(httpx2.TimeoutException):
        await http.post(CHAT, json={**ASK, "model": "coder"}, timeout=0.2)
    await until(lambda: coder.described == 1)
    asking = asyncio.create_task(http.post(CHAT, json={**ASK, "model": "coder"}))
    await until(lambda: len(coder.requests) == 2)
    coder.replica.set()
    pinned = await asking
    assert (pinned.status_code, pinned.json()["model"]) == (200, "coder")
    assert coder.described == 1


@pytest.mark.parametrize("overrides", [{**COLD, "dispatch": {"hedge_after_ms": 20}}])
async def test_a_hedge_that_wins_leaves_it_waking(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    experts["coder"].replica.clear()
    assert (await http.post(CHAT, json=ASK)).json()["model"] != "coder"
    await until(lambda: experts["coder"].described == 1)


@pytest.mark.parametrize("overrides", [{"experts": {"accept_timeout_s": 1.0, "wake_timeout_s": 0.5}}])
async def test_the_call_ends_at_its_limit_and_the_next_request_makes_another(
    http: httpx2.AsyncClient, experts: FakeExperts, sample: Callable[..., float]
) -> None:
    experts["coder"].replica.clear()
    for n in (1, 2):
        assert (await http.post(CHAT, json=ASK)).status_code == 200
        await until(lambda n=n: sample("moegate_wakes_total", expert="coder", outcome="given_up") == n)  # type: ignore[misc]
        assert experts["coder"].described == n


async def test_a_call_that_is_lost_is_made_again(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    coder = experts["coder"]
    coder.is_down = True  # as while Ray Serve replaces its ingress
    assert (await http.post(CHAT, json=ASK)).headers["x-moegate-reason"] == "fallback"
    coder.is_down = False
    await until(lambda: coder.described == 1)


@pytest.mark.parametrize("overrides", [COLD])
async def test_a_form_that_only_a_sleeper_may_keep_to_wakes_it(
    http: httpx2.AsyncClient, experts: FakeExperts, sample: Callable[..., float]
) -> None:
    experts["coder"].structured_output = True
    ask: dict[str, Any] = {**ASK, "model": "coder", "response_format": {"type": "json_object"}}
    assert (await http.post(CHAT, json=ask)).status_code == 503
    await until(lambda: sample("moegate_wakes_total", expert="coder", outcome="answered") == 1)
    assert (await http.post(CHAT, json=ask)).status_code == 200


@pytest.mark.parametrize("overrides", [COLD])
async def test_an_expert_that_is_never_cold_is_not_woken(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    probes = experts["advisor"].described
    experts["advisor"].is_down = True
    assert (await http.post(CHAT, json={**ASK, "model": "advisor"})).status_code == 503
    experts["advisor"].is_down = False
    await asyncio.sleep(1.2)
    assert experts["advisor"].described == probes


@pytest.mark.parametrize("overrides", [COLD])
async def test_nothing_is_held_at_shutdown(app: App, http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    before = len(asyncio.all_tasks())
    experts["coder"].replica.clear()
    assert (await http.post(CHAT, json=ASK)).status_code == 200
    await until(lambda: experts["coder"].described == 1)
    waker = app._dispatcher.waker
    assert waker.is_waiting("coder")
    await waker.close()
    waker.wake("coder")
    await asyncio.sleep(0.1)
    assert not waker.is_waiting("coder")
    assert len(asyncio.all_tasks()) <= before + 1, "the client's own connection"
