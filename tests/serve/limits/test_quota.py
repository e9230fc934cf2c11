"""What a key may use, through both doors of a whole gateway: reserved, settled and told."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar, cast

import grpc
import grpc.aio
import httpx2
import pytest

from protos import gateway_pb2 as pb
from protos.gateway_pb2_grpc import GatewayStub
from serve.app import App
from serve.costs.tariffs import PICO
from serve.limits.bucket import Account, Amount, LimitStatus
from serve.limits.quota import Quotas
from serve.limits.reservation import Reservations
from serve.limits.stores import LocalStore
from serve.request import UNLIMITED, Caller, Limit
from tests.fakes.expert_server import FakeExperts
from tests.helpers import until
from tests.serve.test_access import BODY, CHAT, KEY, OTHER, PROTO, bearer, entry, keyed

T = TypeVar("T")

LONG = "The quick brown fox jumps over the lazy dog. " * 40
ONE = 13e-6  # USD that an answer of the fakes costs: 7 tokens of prompt, 3 of answer
METADATA = tuple(bearer(KEY).items())


async def post(http: httpx2.AsyncClient, **fields: Any) -> httpx2.Response:
    return await http.post(CHAT, json={**BODY, **fields}, headers=bearer(KEY))


async def at_once(
    app: App, experts: FakeExperts, http: httpx2.AsyncClient, stub: GatewayStub, number: int, model: str = "coder"
) -> Counter[str]:
    """Send requests at the same time, by turns through one door and the other; counts how they end.

    No answer begins before every request has been let in or refused.
    """

    async def over_http() -> str:
        response = await post(http, model=model)
        if response.status_code == 200:
            return "ok"
        assert 1 <= int(response.headers["retry-after"]) <= 60
        return str(response.json()["error"]["code"])

    async def over_grpc() -> str:
        try:
            await stub.Complete(pb.GenerateRequest(model=model, conversation=PROTO.conversation), metadata=METADATA)
        except grpc.aio.AioRpcError as error:
            trailers = dict(error.trailing_metadata() or ())
            assert 1 <= int(trailers["retry-after"]) <= 60
            return str(trailers["x-moegate-error-code"])
        return "ok"

    sent = [over_http() if i % 2 else over_grpc() for i in range(number)]
    return Counter(await together(app, experts, sent))


async def together(app: App, experts: FakeExperts, sent: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Hold the experts back until each request has been let in or refused."""
    for script in experts.scripts.values():
        script.gate.clear()
    tasks = [asyncio.create_task(request) for request in sent]
    await until(lambda: sum(task.done() for task in tasks) + app.gateway._admission.in_flight == len(tasks))
    for script in experts.scripts.values():
        script.gate.set()
    return await asyncio.gather(*tasks)


@pytest.fixture
def frozen(app: App) -> None:
    """No time passes for the accounts, so that what is left can be told to the token."""
    now = time.time()
    app.gateway._allowances._clock = lambda: now


def money(app: App, name: str = "alpha") -> tuple[float, float]:
    """What a key's account says: picodollars spent, and held."""
    assert isinstance(app._limits, LocalStore)
    account = app._limits._accounts.get(name, Account())
    return account.spent, account.held + account.held_before


async def all_left(app: App) -> None:
    await until(lambda: not app.gateway._admission.in_flight)


@pytest.mark.parametrize(
    "overrides",
    [
        {"access": {"keys": [entry(KEY, "alpha", **limits)]}, **more}
        for limits in ({"usd": 0.000002}, {"usd": ONE}, {"usd": 0.0013}, {"tpm": 100}, {"tpm": 10}, {"tpm": 700})
        for more in ({}, {"dispatch": {"hedge_after_ms": 5}})
    ],
)
@pytest.mark.usefixtures("frozen")
async def test_twelve_at_once_spend_the_limit_and_one_request_at_most(
    app: App, http: httpx2.AsyncClient, stub: GatewayStub, experts: FakeExperts
) -> None:
    ends = await at_once(app, experts, http, stub, 12, model="auto")
    assert ends == {"ok": 1, "rate_limit_exceeded": 11}
    spent, held = money(app)
    assert (0 < spent <= 2.1 * ONE * PICO, held) == (True, 0)


@keyed(entry(KEY, "alpha", usd=0.005))
async def test_as_many_run_at_once_as_fit_together(
    app: App, http: httpx2.AsyncClient, stub: GatewayStub, experts: FakeExperts
) -> None:
    ends = await at_once(app, experts, http, stub, 12)  # about 0.0011 USD each at most
    assert ends == {"ok": 4, "rate_limit_exceeded": 8}
    assert await at_once(app, experts, http, stub, 4) == {"ok": 4}
    assert money(app) == (round(8 * ONE * PICO), 0)


@keyed(entry(KEY, "alpha", tpm=2500, usd=1))
@pytest.mark.parametrize(
    "fields",
    [
        {"max_tokens": 900},
        {"messages": [*BODY["messages"], {"role": "assistant", "content": LONG * 3}, *BODY["messages"]]},
        {"documents": [{"text": LONG} for _ in range(3)]},
        {"tools": [{"type": "function", "function": {"name": f"f{i}", "description": LONG}} for i in range(3)]},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"title": LONG * 3}}}},
    ],
)
async def test_what_a_prompt_holds_is_reserved(
    http: httpx2.AsyncClient, experts: FakeExperts, app: App, fields: dict[str, Any]
) -> None:
    experts["coder"].structured_output = True
    await app._health.probe_all()
    codes = await together(app, experts, [post(http, **fields) for _ in range(6)])
    assert Counter(response.status_code for response in codes) == {
        200: 1 + ("max_tokens" in fields),
        429: 5 - ("max_tokens" in fields),
    }


@keyed(entry(KEY, "alpha", rpm=10, tpm=5000, usd=0.5))
@pytest.mark.usefixtures("frozen")
async def test_whole_answers_tell_what_is_left_after_them(
    http: httpx2.AsyncClient, stub: GatewayStub, app: App
) -> None:
    first = await post(http)
    used = first.json()["usage"]["total_tokens"]
    told = dict(first.headers)
    assert int(told["x-ratelimit-remaining-tokens"]) == 5000 - used
    assert told["x-ratelimit-reset-tokens"] == "120ms"
    assert (told["x-ratelimit-limit-requests"], told["x-ratelimit-remaining-requests"]) == ("10", "9")
    assert told["x-moegate-budget-limit-usd"] == "0.5"
    assert float(told["x-moegate-budget-remaining-usd"]) == pytest.approx(0.5 - float(told["x-moegate-cost-usd"]))
    assert told["x-moegate-budget-reset"].endswith("s")
    call = stub.Complete(PROTO, metadata=METADATA)
    answer = await call
    over_grpc = {str(name): str(value) for name, value in await call.initial_metadata() or ()}
    assert set(over_grpc) >= {name for name in told if name.startswith(("x-ratelimit-", "x-moegate-budget-"))}
    left = float(told["x-moegate-budget-remaining-usd"]) - answer.summary.cost_usd
    assert float(over_grpc["x-moegate-budget-remaining-usd"]) == pytest.approx(left)
    assert int(over_grpc["x-ratelimit-remaining-tokens"]) == 5000 - 2 * used


@keyed(entry(KEY, "alpha", tpm=5000, usd=0.5))
@pytest.mark.usefixtures("frozen")
async def test_streamed_answers_tell_what_is_reserved(http: httpx2.AsyncClient, stub: GatewayStub, app: App) -> None:
    streamed = await post(http, stream=True)
    left = int(streamed.headers["x-ratelimit-remaining-tokens"])
    assert 4300 <= left <= 5000 - 512
    assert float(streamed.headers["x-moegate-budget-remaining-usd"]) <= 0.5 - 512 * 2e-6
    call = stub.Generate(PROTO, metadata=METADATA)
    metadata = {str(name): str(value) for name, value in await call.initial_metadata() or ()}
    assert int(metadata["x-ratelimit-remaining-tokens"]) <= 5000 - 512
    assert [message async for message in call][-1].HasField("summary")
    assert money(app) == (round(2 * ONE * PICO), 0)


@keyed(entry(KEY, "alpha", tpm=100_000, usd=1))
@pytest.mark.parametrize("door", ["http", "grpc"])
async def test_a_stream_that_is_cancelled_settles_to_what_was_used(
    app: App, http: httpx2.AsyncClient, stub: GatewayStub, experts: FakeExperts, door: str
) -> None:
    experts["coder"].words, experts["coder"].gap_s = ["a "] * 400, 0.02
    if door == "http":
        async with http.stream("POST", CHAT, json={**BODY, "stream": True}, headers=bearer(KEY)) as response:
            seen = 0
            async for line in response.aiter_lines():
                seen += '"content":"a' in line
                if seen == 3:
                    break
    else:
        call = stub.Generate(PROTO, metadata=METADATA)
        async for message in call:
            if message.text:
                break
        call.cancel()
    await all_left(app)
    spent, held = money(app)
    assert held == 0
    assert 7e-6 + 2e-6 <= spent / PICO <= 7e-6 + 200 * 2e-6
    assert spent % (2e-6 * PICO) == (7e-6 * PICO) % (2e-6 * PICO), "whole tokens"


@keyed(entry(KEY, "alpha", rpm=100, tpm=100_000, usd=1))
@pytest.mark.usefixtures("frozen")
@pytest.mark.parametrize("fault", ["refuses", "is down", "is lost", "never begins"])
@pytest.mark.parametrize("is_stream", [False, True])
async def test_an_error_before_the_first_token_gives_everything_back(
    app: App, http: httpx2.AsyncClient, stub: GatewayStub, experts: FakeExperts, fault: str, is_stream: bool
) -> None:
    coder = experts["coder"]
    match fault:
        case "refuses":
            coder.refuse = (grpc.StatusCode.RESOURCE_EXHAUSTED, "full")
        case "is down":
            coder.is_down = True
        case "is lost":
            coder.lose = 10
        case _:
            coder.begin_after_s = 10
    timeout = {"x-request-timeout-ms": "300", **bearer(KEY)}
    response = await http.post(CHAT, json={**BODY, "stream": is_stream}, headers=timeout)
    assert response.status_code >= 400
    with pytest.raises(grpc.aio.AioRpcError):
        await stub.Complete(PROTO, metadata=METADATA, timeout=0.3)
    await all_left(app)
    assert money(app) == (0, 0)
    coder.refuse, coder.is_down, coder.lose, coder.begin_after_s = None, False, 0, 0
    app._dispatcher.circuits["coder"].succeeded()
    settled = await post(http)
    assert settled.headers["x-ratelimit-remaining-tokens"] == str(100_000 - 10)


@pytest.mark.parametrize(
    "overrides",
    [{"access": {"keys": [entry(KEY, "alpha", tpm=100_000, usd=1)]}, "dispatch": {"hedge_after_ms": 50}}],
)
@pytest.mark.usefixtures("frozen")
async def test_hedges_retries_and_fallbacks_are_charged_as_the_ledger_has_them(
    app: App, http: httpx2.AsyncClient, experts: FakeExperts, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "moegate.request")
    first = (await post(http, model="auto")).headers["x-moegate-expert"]
    experts[first].first_s = 5
    assert (await post(http, model="auto")).headers["x-moegate-expert"] != first  # hedged
    experts[first].first_s, experts[first].lose_begun = 0, 2
    fell_back = await post(http, model="auto")  # retried, fallen back
    assert fell_back.headers["x-moegate-expert"] != first
    lines = [record.__dict__ for record in caplog.records if record.message == "request"]
    spent, held = money(app)
    assert (spent, held) == (round(sum(line["cost_usd"] for line in lines) * PICO), 0)
    assert spent == round((3 * ONE + 3 * 7e-6) * PICO)
    assert fell_back.headers["x-ratelimit-remaining-tokens"] == str(100_000 - 3 * 10 - 3 * 7)


@keyed(entry(KEY, "alpha", usd=1, tpm=5000), entry(OTHER, "beta", usd=1))
async def test_one_keys_requests_take_nothing_from_anothers(app: App, http: httpx2.AsyncClient) -> None:
    for _ in range(3):
        await post(http)
    assert money(app) == (round(3 * ONE * PICO), 0)
    assert money(app, "beta") == (0, 0)


async def test_a_look_at_an_account_reserves_nothing_and_says_when_nobody_knows() -> None:
    class Gone(LocalStore):
        async def settle(self, name: str, taken: LimitStatus, used: Amount, now: float) -> LimitStatus:
            return taken  # as `serve.limits.fallback_store` does while the store fails

    limited, free = Caller("alpha", Limit(5, 100, 1.0)), Caller("beta", UNLIMITED)
    for store, told in ((LocalStore(), True), (Gone(), False)):
        quotas = Quotas(store, cast(Reservations, None), on_refusal=lambda kind: None, clock=lambda: 1000.0)
        standings = [await quotas.standing(limited) for _ in range(9)]
        assert all((one is not None) is told for one in standings)
        assert await quotas.standing(free) is None
    account = LocalStore()
    quotas = Quotas(account, cast(Reservations, None), on_refusal=lambda kind: None, clock=lambda: 1000.0)
    standing = await quotas.standing(limited)
    assert standing is not None
    assert (standing.requests, standing.tokens, standing.spent, standing.held) == (5, 100, 0, 0)
