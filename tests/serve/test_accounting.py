"""The counters are the sum of the log lines, whatever becomes of the requests; and both are what really happened."""

import asyncio
import logging
from collections import Counter
from typing import Any

import httpx2
import pytest

from serve.app import App
from tests.fakes.expert_server import FakeExperts
from tests.helpers import CHAT, until

MESSAGES = [{"role": "user", "content": "Fix this Python function: def f(x) return x"}]


async def leave_after(http: httpx2.AsyncClient, model: str, frames: int) -> None:
    async with http.stream("POST", CHAT, json={"model": model, "messages": MESSAGES, "stream": True}) as response:
        seen = 0
        async for line in response.aiter_lines():
            seen += '"content":"' in line
            if seen > frames:
                return


@pytest.mark.parametrize("overrides", [{"admission": {"max_in_flight": 4, "max_queue_len": 0}}])
async def test_the_ledger_is_the_log(
    app: App, http: httpx2.AsyncClient, experts: FakeExperts, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "moegate.request")
    experts["researcher"].words, experts["researcher"].gap_s = ["a "] * 200, 0.02
    first = (await http.post(CHAT, json={"messages": MESSAGES})).headers["x-moegate-expert"]
    experts[first].lose = 2  # one more retry, then the next expert

    async def ask(**fields: Any) -> int:
        return (await http.post(CHAT, json={"messages": MESSAGES, **fields})).status_code

    assert await ask() == 200
    experts["advisor"].break_after = 2
    assert [await ask(model="generalist", stream=is_stream) for is_stream in (False, True)] == [200, 200]
    assert await ask(model="advisor") == 502
    assert await ask(model="nobody") == 404
    await asyncio.gather(*(leave_after(http, "researcher", frames) for frames in (1, 5)))
    experts["coder"].gap_s = 0.3
    shed = Counter(await asyncio.gather(*(ask(model="coder") for _ in range(8))))
    assert shed == {200: 4, 429: 4}
    await until(lambda: not app.gateway._admission.in_flight)

    lines = [record.__dict__ for record in caplog.records if record.message == "request"]
    assert len(lines) == 1 + 1 + 2 + 1 + 1 + 2 + 8
    assert ledger(app, "requests_total") == total(lines, lambda line: {(line["expert"], line["outcome"]): 1.0})
    assert ledger(app, "tokens_total") == total(
        lines,
        lambda line: {
            (line["expert"], "prompt"): line["prompt_tokens"],
            (line["expert"], "completion"): line["completion_tokens"],
        },
    )
    assert ledger(app, "cost_usd_total") == total(
        lines, lambda line: {(line["expert"], "configured"): line["cost_usd"]}
    )
    cancelled = [line for line in lines if line["outcome"] == "cancelled"]
    assert len(cancelled) == 2
    assert all(0 < line["completion_tokens"] < 200 and line["prompt_tokens"] == 7 for line in cancelled)
    (broken,) = [line for line in lines if line["outcome"] == "expert_failed"]
    assert (broken["completion_tokens"], broken["cost_usd"]) == (2, pytest.approx(7e-6 + 2 * 2e-6))


PROMPT = pytest.approx(7e-6)
ANSWER = pytest.approx(7e-6 + 3 * 2e-6)


async def lines_of(http: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture, **fields: Any) -> dict[str, Any]:
    """Ask once; returns the request's line of the log, and what the answer says it cost."""
    caplog.clear()
    caplog.set_level(logging.INFO, "moegate.request")
    response = await http.post(CHAT, json={"messages": MESSAGES, **fields})
    [line] = [record.__dict__ for record in caplog.records if record.message == "request"]
    told = response.json().get("usage", {}).get("cost_usd") if response.status_code == 200 else None
    return {"lost": [], **line, "told": told}


@pytest.mark.parametrize("overrides", [{"dispatch": {"hedge_after_ms": 50}}])
async def test_the_slower_one_of_two_is_paid_for_as_far_as_it_had_begun(
    app: App, http: httpx2.AsyncClient, experts: FakeExperts, caplog: pytest.LogCaptureFixture
) -> None:
    first = (await http.post(CHAT, json={"messages": MESSAGES})).headers["x-moegate-expert"]
    experts[first].first_s = 5
    line = await lines_of(http, caplog)
    assert line["expert"] != first
    [loss] = line["lost"]
    assert (loss["expert"], loss["cause"], loss["prompt_tokens"], loss["completion_tokens"]) == (first, "hedged", 7, 0)
    assert (loss["cost_usd"], line["wasted_usd"], line["told"]) == (PROMPT, PROMPT, ANSWER)
    assert line["cost_usd"] == pytest.approx(7e-6 + 7e-6 + 3 * 2e-6)
    assert ledger(app, "wasted_cost_usd_total") == {(first, "hedged"): PROMPT}
    assert app._dispatcher.in_flight.total() == 0

    experts[first].begin_after_s, experts[first].first_s = 5, 0
    line = await lines_of(http, caplog)
    assert (line["lost"], line["cost_usd"]) == ([], ANSWER), "who had not begun has cost nothing"


async def test_lost_attempts_are_paid_for_by_cause(
    app: App, http: httpx2.AsyncClient, experts: FakeExperts, caplog: pytest.LogCaptureFixture
) -> None:
    first = (await http.post(CHAT, json={"messages": MESSAGES})).headers["x-moegate-expert"]
    experts[first].lose_begun = 1
    line = await lines_of(http, caplog)
    assert (line["expert"], [loss["cause"] for loss in line["lost"]]) == (first, ["retried"])
    experts[first].lose_begun = 2
    line = await lines_of(http, caplog)
    assert line["expert"] != first
    assert [(loss["expert"], loss["cause"]) for loss in line["lost"]] == [(first, "retried"), (first, "fell_back")]
    experts[first].lose_begun = 2
    line = await lines_of(http, caplog, model=first)
    assert (line["outcome"], [loss["cause"] for loss in line["lost"]]) == ("expert_unavailable", ["retried", "failed"])
    assert line["cost_usd"] == line["wasted_usd"] == pytest.approx(2 * 7e-6)
    experts[first].first_s = 5
    with pytest.raises(httpx2.TimeoutException):
        await http.post(CHAT, json={"messages": MESSAGES, "model": first}, timeout=0.5)
    await until(lambda: not app.gateway._admission.in_flight)
    assert ledger(app, "wasted_cost_usd_total") == {
        (first, "retried"): pytest.approx(3 * 7e-6),
        (first, "fell_back"): PROMPT,
        (first, "failed"): PROMPT,
        (first, "cancelled"): PROMPT,
    }


def total(lines: list[dict[str, Any]], of: Any) -> dict[tuple[str, ...], Any]:
    sums: Counter[tuple[str, ...]] = Counter()
    for line in lines:
        sums.update(of(line))
    return {key: pytest.approx(value) for key, value in sums.items() if value}


def ledger(app: App, name: str) -> dict[tuple[str, ...], float]:
    """A counter's samples by expert and its last label, doors added up; nothing that is 0."""
    sums: Counter[tuple[str, ...]] = Counter()
    for family in app.metrics.registry.collect():
        for sample in family.samples:
            if sample.name == f"moegate_{name}":
                labels = {key: value for key, value in sample.labels.items() if key != "door"}
                sums[labels.pop("expert"), *labels.values()] += sample.value
    return {key: value for key, value in sums.items() if value}
