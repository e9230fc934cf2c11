"""Is the request bad, or the expert? What one client sends opens no circuit; an ill expert is left alone."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import grpc.aio
import httpx2
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from protos import expert_pb2 as pb
from serve.app import App
from tests.fakes.expert_server import FakeExperts
from tests.helpers import CHAT, until

NAMES = ("researcher", "coder", "advisor", "tool-caller", "generalist")
POISON = "\u2620"
Sample = Callable[..., float]
quick = {"failures": 3, "open_s": 0.3, "max_open_s": 1.0}


def asking(content: str, model: str = "auto", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": content}], **more}


class Poisoned(FakeExperts):
    """Every expert fails on poison, in a way of the test's choice, and on nothing else."""

    status = grpc.StatusCode.INTERNAL
    details = "internal error"
    after = 0  # tokens
    immune: frozenset[str] = frozenset()
    dead: frozenset[str] = frozenset()
    is_ill = False

    async def Describe(self, request: pb.DescribeRequest, context: Any) -> pb.DescribeResponse:
        if self.is_ill:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "engine_dead: the engine is stuck")
        return await super().Describe(request, context)

    async def Generate(self, request: pb.GenerateRequest, context: Any) -> AsyncIterator[pb.GenerateChunk]:
        name = str(dict(context.invocation_metadata() or ()).get("application"))
        is_poison = any(POISON in message.content for message in request.conversation.messages)
        if name in self.dead or (is_poison and name not in self.immune):
            self[name].requests.append(request)
            yield pb.GenerateChunk()
            for _ in range(self.after):
                yield pb.GenerateChunk(text="a", token_count=1, prompt_tokens=1)
            await context.abort(self.status, self.details)
        async for chunk in super().Generate(request, context):
            yield chunk


@pytest.fixture
async def experts() -> AsyncIterator[Poisoned]:
    fake = Poisoned(*NAMES)
    await fake.start()
    yield fake
    await fake.stop()


def states(sample: Sample) -> set[float]:
    return {sample("moegate_circuit_state", expert=name) for name in NAMES}


@pytest.mark.parametrize("model", ["auto", "coder"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS])
async def test_a_request_that_nobody_can_serve_is_told_so_and_hurts_nobody(
    http: httpx2.AsyncClient, experts: Poisoned, sample: Sample, model: str, stream: bool, status: grpc.StatusCode
) -> None:
    experts.status = status
    for _ in range(25):
        response = await http.post(CHAT, json=asking(POISON, model, stream=stream))
        assert (response.status_code, response.json()["error"]["code"]) == (422, "unanswerable") or (
            response.status_code,
            response.json()["error"]["code"],
        ) == (502, "expert_failed"), "the latter once the budget for second looks is used up"
    assert sum(len(script.requests) for script in experts.scripts.values()) <= 50, "twice at most"
    assert states(sample) == {0}
    for name in NAMES:
        assert (await http.post(CHAT, json=asking("hello", name))).status_code == 200
    assert (await http.get("/ready")).status_code == 200


async def test_the_first_ones_are_told_that_it_is_their_request(http: httpx2.AsyncClient, experts: Poisoned) -> None:
    for model in ("auto", "coder"):
        response = await http.post(CHAT, json=asking(POISON, model))
        assert (response.status_code, response.json()["error"]["code"]) == (422, "unanswerable")
        assert "retry-after" not in response.headers


async def test_a_second_expert_is_asked_and_answers(
    http: httpx2.AsyncClient, experts: Poisoned, sample: Sample
) -> None:
    first = (await http.post(CHAT, json=asking("hello"))).headers["x-moegate-expert"]
    experts.immune = frozenset(NAMES) - {first}
    for _ in range(12):
        response = await http.post(CHAT, json=asking(POISON + " hello", max_tokens=3))
        assert response.status_code == 200
    assert states(sample) == {0}, "one client alone says so, and a probe finds it well"


@pytest.mark.parametrize("after", [1, 3])
async def test_what_breaks_in_the_middle_opens_nothing_either(
    http: httpx2.AsyncClient, experts: Poisoned, sample: Sample, after: int
) -> None:
    experts.after = after
    for _ in range(15):
        response = await http.post(CHAT, json=asking(POISON, "coder"))
        assert (response.status_code, response.json()["error"]["code"]) == (502, "expert_failed")
    await asyncio.sleep(0.05)
    assert states(sample) == {0}
    assert (await http.post(CHAT, json=asking("hello", "coder"))).status_code == 200


async def test_a_request_that_kills_replicas_opens_nothing_by_itself(
    http: httpx2.AsyncClient, experts: Poisoned, sample: Sample
) -> None:
    """Each replica takes it on, dies without a word, and is replaced at once."""
    experts.status, experts.details = grpc.StatusCode.UNAVAILABLE, "Socket closed"
    for _ in range(15):
        assert (await http.post(CHAT, json=asking(POISON))).status_code == 503
    await asyncio.sleep(0.05)
    assert states(sample) == {0}
    assert (await http.post(CHAT, json=asking("hello"))).status_code == 200


async def test_a_request_that_kills_engines_does_not_walk_through_all_of_them(
    http: httpx2.AsyncClient, experts: Poisoned, sample: Sample
) -> None:
    experts.status, experts.details = grpc.StatusCode.UNAVAILABLE, "engine_dead: the engine process ended"
    assert (await http.post(CHAT, json=asking(POISON))).status_code == 422
    assert sum(len(script.requests) for script in experts.scripts.values()) == 2


def key(name: str) -> dict[str, str]:
    return {"name": name, "sha256": hashlib.sha256(f"sk-{name}".encode()).hexdigest()}


KEYS = {"access": {"keys": [key(name) for name in ("mallory", "ann", "bob")]}}


def by(name: str) -> dict[str, str]:
    return {"authorization": f"Bearer sk-{name}"}


@pytest.mark.parametrize("overrides", [{**KEYS, "dispatch": {"circuit": quick, "retries": 0}}])
@pytest.mark.parametrize("status", [grpc.StatusCode.INTERNAL, grpc.StatusCode.UNAVAILABLE])
async def test_one_tenant_opens_no_circuit_and_two_do(
    http: httpx2.AsyncClient, experts: Poisoned, sample: Sample, status: grpc.StatusCode
) -> None:
    experts.status = status
    for _ in range(12):
        assert (await http.post(CHAT, json=asking(POISON, "coder"), headers=by("mallory"))).status_code >= 400
        assert (await http.post(CHAT, json=asking("hi", "coder"), headers=by("ann"))).status_code == 200
    for _ in range(12):
        await http.post(CHAT, json=asking(POISON, "coder"), headers=by("mallory"))
    await asyncio.sleep(0.05)
    assert states(sample) == {0}
    experts.dead = frozenset({"coder"})
    for name in ("ann", "bob", "ann"):
        assert (await http.post(CHAT, json=asking("hi", "coder"), headers=by(name))).status_code >= 500
    assert sample("moegate_circuit_state", expert="coder") == 2


@pytest.mark.parametrize("overrides", [{**KEYS, "dispatch": {"circuit": quick, "retries": 0}}])
async def test_one_tenant_and_a_probe_that_fails_open_it(
    http: httpx2.AsyncClient, experts: Poisoned, sample: Sample
) -> None:
    experts["coder"].is_down = True
    for _ in range(3):
        assert (await http.post(CHAT, json=asking("hi", "coder"), headers=by("ann"))).status_code == 503
    await until(lambda: sample("moegate_circuit_state", expert="coder") == 2)


@pytest.mark.parametrize("overrides", [{"dispatch": {"circuit": quick, "retries": 1}}])
async def test_an_expert_that_is_not_well_without_the_request_either_is_to_blame(
    http: httpx2.AsyncClient, experts: Poisoned, sample: Sample
) -> None:
    experts.dead, experts.is_ill = frozenset({"coder"}), True
    response = await http.post(CHAT, json=asking("hi", "coder"))
    assert (response.status_code, response.json()["error"]["code"]) == (503, "expert_unavailable")
    assert sample("moegate_circuit_state", expert="coder") == 2


@pytest.mark.parametrize("overrides", [{"dispatch": {"circuit": quick, "retries": 0}}])
async def test_a_circuit_closes_by_a_probe_though_nobody_passes_by(
    app: App, http: httpx2.AsyncClient, experts: Poisoned, sample: Sample
) -> None:
    experts["coder"].is_down = True
    for _ in range(3):
        await http.post(CHAT, json=asking("hi", "coder"))
    assert sample("moegate_circuit_state", expert="coder") == 2
    await asyncio.sleep(0.5)
    assert sample("moegate_circuit_state", expert="coder") == 2, "the probe failed as well"
    asked = len(experts["coder"].requests)
    experts["coder"].is_down = False
    await until(lambda: sample("moegate_circuit_state", expert="coder") == 0)
    assert len(experts["coder"].requests) == asked, "no request was needed"
    assert (await http.post(CHAT, json=asking("hi", "coder"))).status_code == 200


@pytest.mark.parametrize("overrides", [{"dispatch": {"circuit": quick, "retries": 0}}])
async def test_a_trial_that_hangs_or_leaves_does_not_keep_it_half_open(
    http: httpx2.AsyncClient, experts: Poisoned, sample: Sample
) -> None:
    for _ in range(3):
        experts["coder"].lose = 1
        await http.post(CHAT, json=asking("hi", "coder"))
    assert sample("moegate_circuit_state", expert="coder") == 2
    experts["coder"].first_s = 30
    trials = []
    began = time.monotonic()
    while sample("moegate_circuit_state", expert="coder") and time.monotonic() - began < 60:
        trials.append(asyncio.create_task(http.post(CHAT, json=asking("hi", "coder"))))
        await asyncio.sleep(0.05)
    assert sample("moegate_circuit_state", expert="coder") == 0
    for trial in trials:
        trial.cancel()
    await asyncio.gather(*trials, return_exceptions=True)


@pytest.mark.parametrize("overrides", [{"dispatch": {"circuit": quick, "retries": 0}}])
async def test_readiness_follows_the_circuits_on_both_doors(
    app: App, http: httpx2.AsyncClient, experts: Poisoned, sample: Sample
) -> None:
    async with grpc.aio.insecure_channel(app.grpc_address) as channel:
        check = health_pb2_grpc.HealthStub(channel).Check

        async def is_serving() -> bool:
            answer = await check(health_pb2.HealthCheckRequest())
            return answer.status == health_pb2.HealthCheckResponse.SERVING

        assert await is_serving()
        for name in NAMES:
            experts[name].is_down = True
            for _ in range(3):
                await http.post(CHAT, json=asking("hi", name))
            ready = await http.get("/ready")
            assert ready.json()["experts"][name] is False
            assert "circuit is open" in ready.json()["reasons"][name]
            assert ready.status_code == (503 if name == NAMES[-1] else 200)
        await asyncio.sleep(0.6)
        assert not await is_serving()
        for name in NAMES:
            experts[name].is_down = False
        await until(lambda: states(sample) == {0})
        await asyncio.sleep(0.6)
        ready = await http.get("/ready")
        assert (ready.status_code, ready.json()["reasons"]) == (200, {})
        assert await is_serving()


async def test_readiness_follows_the_probes(app: App, http: httpx2.AsyncClient, experts: Poisoned) -> None:
    for name in NAMES:
        experts[name].is_down = True
    for _ in range(2):
        await app.gateway.health.probe_all()
    ready = await http.get("/ready")
    assert ready.status_code == 503
    assert set(ready.json()["reasons"].values()) == {"it does not answer its probes"}
