"""A thousand requests of every fate: the log's sum and the counters are one number; and hostile ones add no series."""

import asyncio
import contextlib
import logging
import random
from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal
from itertools import product
from typing import Any

import httpx2
import pytest
from prometheus_client import generate_latest

from protos import chat_pb2 as chat
from serve.app import App
from serve.errors import MoegateError
from serve.request import ChatRequest
from serve.telemetry.metrics.page import page
from tests.fakes.expert_server import FakeExperts

MICRO = Decimal("0.000001")
TEXTS = ("Fix this Python function", "Who wrote Faust?", "Plan a trip to Rome", "What is 17 + 25?", "Escribe un poema")


TOOLS = (chat.Tool(name="get_time", description="The local time of a city"),)


def make_request(app: App, i: int, chance: random.Random) -> ChatRequest:
    text, tools = chance.choice(TEXTS), ()
    if i % 4 == 0:
        text, tools = "What time is it in Oslo?", TOOLS
    message = chat.Message(role=chat.ROLE_USER, content=text)
    now = app.gateway._clock()
    deadline = now + (0.001 if chance.random() < 0.05 else 30.0)
    model = chance.choice(("auto", "auto", "coder", "advisor", "nobody"))
    return ChatRequest(
        f"id-{i}", f"id-{i}", chance.choice(("http", "grpc")), model,
        chat.Conversation(messages=[message], tools=tools), chat.Sampling(), chance.random() < 0.5, now, deadline,
    )  # fmt: skip


async def one(app: App, i: int, chance: random.Random) -> None:
    leaves_after = chance.choice((None, None, None, 0, 1, 2))

    async def answer() -> None:
        if leaves_after == 0:
            asyncio.get_running_loop().call_later(chance.random() * 0.05, leave)
        async with app.gateway.generate(make_request(app, i, chance)) as answer:
            seen = 0
            async for _ in answer.chunks():
                seen += 1
                if seen == leaves_after:
                    raise asyncio.CancelledError

    task = asyncio.create_task(answer())
    leave = task.cancel
    with contextlib.suppress(MoegateError, asyncio.CancelledError):
        await task


ADMISSION = {"max_in_flight": 16, "max_queue_len": 8}
EAGER = {"hedge_after_ms": 10, "retry_ratio": 10, "retry_burst": 1000, "circuit": {"failures": 10_000}}


@pytest.mark.parametrize("overrides", [{"admission": ADMISSION}, {"admission": ADMISSION, "dispatch": EAGER}])
async def test_the_logs_sum_is_the_counters(
    app: App,
    experts: FakeExperts,
    caplog: pytest.LogCaptureFixture,
    sample: Callable[..., float],
    overrides: dict[str, Any],
) -> None:
    chance = random.Random(7)
    experts["advisor"].break_after = 2
    experts["researcher"].is_down = True
    experts["coder"].gap_s = 0.001
    experts["coder"].lose_begun = 40
    experts["generalist"].first_s = 0.03
    experts["tool-caller"].declines_after = 3
    if is_eager := "dispatch" in overrides:
        experts["researcher"].is_down, experts["researcher"].break_after = False, 0  # it begins, and breaks
    with caplog.at_level(logging.INFO, "moegate.request"):
        for batch in range(25):
            await asyncio.gather(*(one(app, batch * 40 + i, chance) for i in range(40)))
    records = [vars(record) for record in caplog.records if record.getMessage() == "request"]
    assert len(records) == 1000
    outcomes = {record["outcome"] for record in records}
    assert {"ok", "cancelled", "overloaded", "expert_failed", "model_not_found", "deadline_exceeded"} <= outcomes
    assert any(record["reason"] == "fallback" for record in records)
    lost = [loss for record in records for loss in record.get("lost", ())]
    causes = {loss["cause"] for loss in lost}
    assert causes >= {"retried", "handed_back"} | ({"hedged", "fell_back"} if is_eager else set())

    def total(field: str) -> Decimal:
        return sum((Decimal(repr(record[field])) for record in records), Decimal(0))

    def counted(name: str, **labels: str) -> Decimal:
        families = {family.name: family for family in app.metrics.registry.collect()}
        return sum((Decimal(repr(s.value)) for s in families[name].samples if s.name.endswith("_total")), Decimal(0))

    assert total("cost_usd") > 0
    assert total("cost_usd").quantize(MICRO) == counted("moegate_cost_usd").quantize(MICRO)
    assert abs(total("cost_usd") - counted("moegate_cost_usd")) < Decimal("1e-15")
    assert abs(total("wasted_usd") - counted("moegate_wasted_cost_usd")) < Decimal("1e-15")
    assert counted("moegate_wasted_cost_usd") > 0
    by_expert, by_cause = accounts(records)
    assert by_expert == {key[0]: value for key, value in labelled(app, "cost_usd").items()}
    assert by_cause == labelled(app, "wasted_cost_usd")
    assert sum(record["completion_tokens"] for record in records) == sum(
        sample("moegate_tokens_total", expert=name, kind="completion") for name in experts.scripts
    )
    assert sum(sample("moegate_requests_in_flight", expert=name) for name in (*experts.scripts, "none")) == 0
    spent = counted("moegate_cost_usd") - sum(
        (usd(loss) for loss in lost), Decimal(0)
    )  # what nobody got is not compared
    elsewhere = Decimal(repr(sample("moegate_baseline_cost_usd_total", baseline="generalist")))
    assert elsewhere == pytest.approx(spent)  # the test's experts all cost the same


def usd(fields: dict[str, Any]) -> Decimal:
    return Decimal(repr(fields["cost_usd"]))


def accounts(records: list[dict[str, Any]]) -> tuple[dict[str, Decimal], dict[tuple[str, ...], Decimal]]:
    """The log's money by expert, and what was wasted of it by expert and cause; nothing that is 0."""
    spent: defaultdict[str, Decimal] = defaultdict(Decimal)
    wasted: defaultdict[tuple[str, ...], Decimal] = defaultdict(Decimal)
    for record in records:
        lost = record.get("lost", ())
        own = usd(record) - sum((usd(loss) for loss in lost), Decimal(0))
        spent[record["expert"]] += own
        if record["outcome"] != "ok":
            wasted[record["expert"], "cancelled" if record["outcome"] == "cancelled" else "failed"] += own
        for loss in lost:
            spent[loss["expert"]] += usd(loss)
            wasted[loss["expert"], loss["cause"]] += usd(loss)
    return {k: v for k, v in spent.items() if v}, {k: v for k, v in wasted.items() if v}


def labelled(app: App, name: str) -> dict[tuple[str, ...], Decimal]:
    """A counter of money by its labels, to the picodollar; nothing that is 0."""
    [family] = [family for family in app.metrics.registry.collect() if family.name == f"moegate_{name}"]
    sums = {tuple(s.labels.values()): Decimal(repr(s.value)) for s in family.samples if s.name.endswith("_total")}
    return {key: value for key, value in sums.items() if value}


async def test_hostile_input_adds_no_series(
    app: App, http: httpx2.AsyncClient, experts: FakeExperts, caplog: pytest.LogCaptureFixture
) -> None:
    chance = random.Random(11)

    def junk() -> str:
        return "".join(chance.choice("abcXYZ019-_./é") for _ in range(chance.randint(1, 60)))

    def hostile() -> list[Any]:
        name = junk()
        ask = {"model": name, "messages": [{"role": "user", "content": junk()}], "user": junk()}
        key = {"authorization": f"Bearer {junk().encode().hex()}", "x-request-id": "x" * 500}
        return [
            http.get(f"/{name.encode().hex()}/../{chance.random()}"),
            http.post("/v1/chat/completions", json=ask, headers=key),
            http.post("/v1/chat/completions", json={**ask, "model": "auto", "stream": True}, headers=key),
            http.post("/v1/chat/completions", content=junk().encode(), headers={"content-type": "application/json"}),
            http.request(chance.choice(("PUT", "DELETE", "PATCH")), "/v1/models"),
            http.post("/v1/feedback", json={"response_id": junk(), "rating": chance.random(), "better_expert": name}),
        ]

    for name, spoil in (("advisor", "break_after"), ("researcher", "is_down")):
        setattr(experts[name], spoil, 1)
    for _ in range(5):
        await asyncio.gather(*(request for _ in range(10) for request in hostile()))
    for name, text, is_stream in product((*experts.scripts, "auto"), TEXTS, (False, True)):
        ask = {"model": name, "messages": [{"role": "user", "content": text}], "stream": is_stream}
        await http.post("/v1/chat/completions", json=ask)
    before = series(app)
    for _ in range(25):
        await asyncio.gather(*(request for _ in range(10) for request in hostile()))
    after = series(app)
    assert {name for name in after if name not in before} <= {
        name for name in after if "moegate_route_languages_total" in name or "moegate_fallbacks_total" in name
    }  # closed sets, not filled yet
    assert len(after) <= 2500


def series(app: App) -> set[str]:
    lines = generate_latest(page(app.metrics.registry)).decode().splitlines()
    return {line.rsplit(" ", 1)[0] for line in lines if not line.startswith("#")}


def test_the_worst_case_is_bounded() -> None:  # noqa: C901 -- one loop a label
    """Every label at every value it can take, five experts: counted, not guessed."""
    from prometheus_client import CollectorRegistry

    from router.decision import Reason
    from serve.costs.ledger import Waste
    from serve.telemetry.language import LANGUAGES
    from serve.telemetry.metrics import NO_EXPERT, Metrics
    from tests.serve.conftest import NAMES

    metrics = Metrics(CollectorRegistry())
    errors = codes(MoegateError)
    for expert in NAMES:
        for mode in ("stream", "unary"):
            for histogram in (metrics.requests.ttft, metrics.requests.duration, metrics.requests.inter_token):
                histogram.labels(expert, mode).observe(1)
            metrics.requests.per_output_token.labels(expert, mode).observe(1)
        metrics.routing.confidence.labels(expert).observe(1)
        metrics.experts.queued(expert, 1)
        for reason in Reason:
            metrics.routing.decisions.labels(expert, reason.value).inc()
        for other in NAMES:
            metrics.dispatch.fallbacks.labels(expert, other).inc()
            metrics.feedback.better.labels(expert, other).inc()
        for code in errors:
            metrics.requests.stream_errors.labels(expert, code).inc()
    for expert in (*NAMES, NO_EXPERT):
        for door in ("http", "grpc"):
            for outcome in ("ok", "cancelled", *errors):
                metrics.requests.ended.labels(expert, door, outcome).inc()
    for language in LANGUAGES:
        metrics.routing.languages.labels(language).inc()
    lines = [line for line in generate_latest(page(metrics.registry)).decode().splitlines() if not line.startswith("#")]
    money = len(NAMES) * (1 + len(Waste) + 2) + 12
    assert len(lines) + money + 100 <= 2500, len(lines)


def codes(kind: type[MoegateError]) -> set[str]:
    return {kind.code}.union(*(codes(child) for child in kind.__subclasses__()))
