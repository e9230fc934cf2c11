"""The replica that mixes prompts and decoding, against a plain loop over every step of the same engine."""

from math import inf

import numpy as np
import pytest

from serve.commands.plan.description import EngineModel, Plan
from serve.commands.plan.report import simulate
from serve.commands.plan.traffic import Requests, make_requests

ENGINE = EngineModel(
    slots=4,
    queue=1_000_000,
    step_ms={1: 8, 4: 14},
    step_ms_per_context_token=0.004,
    prefill_ms=7,
    prefill_ms_per_token=0.25,
    chunk_tokens=64,
    instance="inf2.xlarge",
    cores=2,
    source="made up",
)


def every_step(requests: Requests) -> tuple[list[float], list[float]]:  # noqa: C901 -- plain on purpose
    """What the engine's scheduler does, one step after another: decode all, fill the chunk with prompts in order."""
    step_s = ENGINE.step_s()
    held = requests.prompt + requests.answer / 2
    waiting = [[i, int(p), int(a)] for i, (p, a) in enumerate(zip(requests.prompt, requests.answer, strict=True))]
    first, end, now = [inf] * len(requests), [inf] * len(requests), 0.0
    inside: list[list[int]] = []
    decoding: list[list[int]] = []
    while waiting or inside or decoding:
        if not inside and not decoding:
            now = max(now, requests.at_s[waiting[0][0]])
        while waiting and requests.at_s[waiting[0][0]] <= now + 1e-9 and len(inside) + len(decoding) < ENGINE.slots:
            inside.append(waiting.pop(0))
        left = budget = ENGINE.chunk_tokens - len(decoding) if inside else 0
        begun = []
        while inside and left:
            taken = min(left, inside[0][1])
            inside[0][1] -= taken
            left -= taken
            if not inside[0][1]:
                begun.append(inside.pop(0))
        now += step_s[max(1, len(decoding))]
        now += sum(held[entry[0]] for entry in decoding) * ENGINE.step_ms_per_context_token / 1e3
        if budget > left:
            now += (ENGINE.prefill_ms + (budget - left) * ENGINE.prefill_ms_per_token) / 1e3
        for entry in decoding:
            entry[2] -= 1
        for entry in begun:
            first[entry[0]] = now
            entry[2] -= 1
        decoding += begun
        for entry in [entry for entry in decoding if not entry[2]]:
            end[entry[0]] = now
            decoding.remove(entry)
    return first, end


def plan(rate: float, engine: EngineModel = ENGINE) -> Plan:
    lengths = {"prompt": {"median": 60, "sigma": 0.8}, "answer": {"median": 30, "sigma": 0.8}}
    return Plan.model_validate(
        {
            "engines": {"e": engine.model_dump()},
            "experts": {"only": {"engine": "e", "share": 1, **lengths}},
            "traffic": {"requests_per_s": rate, "hours": 0.1, "seed": 5},
        }
    )


@pytest.mark.parametrize("rate", [0.5, 4, 8, 20])
def test_every_first_and_last_token_is_when_the_plain_loop_says(rate: float) -> None:
    made = plan(rate)
    requests = make_requests(made)
    first, end = every_step(requests)
    outcome = simulate(made, requests=requests).outcome
    assert len(requests) > 100
    assert np.allclose(outcome.first_s, first, atol=1e-4)
    assert np.allclose(outcome.end_s, end, atol=1e-4)


def test_prompts_that_wait_together_share_a_step() -> None:
    """The first is alone; the two that come meanwhile are prefilled together, beside its second token."""
    at_s = np.array([0.0, 0.001, 0.002])
    waiting = Requests(at_s, np.zeros(3, dtype=int), np.full(3, 20), np.full(3, 5), 1.0)
    outcome = simulate(plan(1), requests=waiting).outcome
    alone_s = 0.008 + 0.007 + 20 * 0.00025
    assert outcome.first_s == pytest.approx([alone_s, *[alone_s + 0.008 + 22.5 * 4e-6 + 0.007 + 40 * 0.00025] * 2])


def test_what_lies_beside_the_engine_delays_and_occupies_nothing() -> None:
    near, far = plan(8), plan(8, ENGINE.model_copy(update={"latency_ms": 500.0}))
    requests = make_requests(near)
    here, there = simulate(near, requests=requests), simulate(far, requests=requests)
    assert there.latency["all"].ttft_p50 == pytest.approx(here.latency["all"].ttft_p50 + 0.5)
    assert there.latency["all"].itl_p50 == pytest.approx(here.latency["all"].itl_p50)
    assert there.outcome.busy_s == here.outcome.busy_s


def test_who_comes_while_others_run_waits_for_the_cores_too() -> None:
    """Requests a second apart find nobody; of three at once the second and third find others."""
    shared = ENGINE.model_copy(update={"busy_latency_ms": 100.0})
    for at_s, delayed in (([0.0, 1.0, 2.0], [0, 0, 0]), ([0.0, 0.001, 0.002], [0, 1, 1])):
        times = np.array(at_s)
        requests = Requests(times, np.zeros(3, dtype=int), np.full(3, 20), np.full(3, 5), 3.0)
        found = simulate(plan(1, shared), requests=requests)
        bare = simulate(plan(1), requests=requests)
        assert found.outcome.beside == [n for n in range(3) if delayed[n]]
        assert found.latency["all"].ttft_p99 - bare.latency["all"].ttft_p99 == pytest.approx(
            0.1 * max(delayed), abs=1e-6
        )
