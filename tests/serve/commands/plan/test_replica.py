"""One replica: driven by hand, event by event, and as a queue against the textbook."""

from math import inf
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.commands.plan.description import EngineModel
from serve.commands.plan.replica import Replica
from serve.commands.plan.report import simulate
from serve.commands.plan.traffic import make_requests
from tests.serve.commands.plan.plans import ENGINE, plan


def replica(**changes: Any) -> Replica:
    return Replica(EngineModel.model_validate(ENGINE | changes), expert=0, ready_at=0.0)


def run(made: Replica, arrivals: list[tuple[float, int, int]]) -> tuple[list[float], list[float]]:
    """Play requests (when, prompt, answer), by arrival; returns the times of first and last tokens."""
    first, end = [inf] * len(arrivals), [inf] * len(arrivals)
    waiting = list(enumerate(arrivals))
    while waiting or made.load:
        event = made.next_event()
        if waiting and waiting[0][1][0] <= event:
            request, (at, prompt, answer) = waiting.pop(0)
            made.add(at, request, prompt, answer)
        else:
            made.happen(event, first, end)
    return first, end


def test_one_alone_is_prefilled_and_then_steps() -> None:
    first, end = run(replica(prefill_ms=20, prefill_ms_per_token=1), [(5.0, 30, 11)])
    assert first == pytest.approx([5.050])
    assert end == pytest.approx([5.150])


def test_two_share_the_batch_at_the_slower_step() -> None:
    """The second's prefill takes a step of the first, to 0.01 s; 9 tokens of both at 20 ms, 11 of one at 10."""
    first, end = run(replica(step_ms={1: 10, 2: 20}), [(0.0, 1, 11), (0.0, 1, 21)])
    assert first == pytest.approx([0.0, 0.010])
    assert end == pytest.approx([0.190, 0.300])


def test_who_finds_no_slot_waits_for_the_first_to_leave() -> None:
    first, end = run(replica(slots=1), [(0.0, 1, 11), (0.0, 1, 11)])
    assert first == pytest.approx([0.0, 0.1])
    assert end == pytest.approx([0.1, 0.2])


def test_an_answer_of_one_token_ends_with_its_first() -> None:
    first, end = run(replica(prefill_ms=7), [(1.0, 5, 1)])
    assert first == end == pytest.approx([1.007])


def test_idle_time_is_not_busy() -> None:
    made = replica()
    run(made, [(0.0, 1, 11), (100.0, 1, 11)])
    assert made.busy_s == pytest.approx(0.2)


def test_who_is_inside_is_listed_wherever_it_stands() -> None:
    made = replica(slots=2, prefill_ms=50)
    for request in range(4):
        made.add(0.0, request, 1, 5)
    assert sorted(made.running) == [0, 1, 2, 3]
    made.happen(made.next_event(), [inf] * 4, [inf] * 4)
    assert sorted(made.running) == [0, 1, 2, 3]
    assert made.load == 4


def test_context_makes_a_step_longer() -> None:
    """With 100 tokens of prompt and half an answer of 10 in its cache, a step takes 10 + 105 x 0.1 ms."""
    first, end = run(replica(step_ms_per_context_token=0.1), [(0.0, 100, 10)])
    assert end[0] - first[0] == pytest.approx(9 * 0.0205)


ARRIVALS = st.lists(st.tuples(st.floats(0, 3), st.integers(1, 60), st.integers(1, 40)), min_size=1, max_size=20)


@given(ARRIVALS, st.integers(1, 5))
def test_everybody_is_served_in_order_and_no_faster_than_alone(
    arrivals: list[tuple[float, int, int]], slots: int
) -> None:
    arrivals = sorted(arrivals)
    made = replica(slots=slots, prefill_ms=3, prefill_ms_per_token=0.5)
    first, end = run(made, arrivals)
    assert first == sorted(first)
    for (at, prompt, answer), began, ended in zip(arrivals, first, end, strict=True):
        assert began >= at + 0.003 + 0.0005 * prompt - 1e-6
        assert ended - began >= (answer - 1) * 0.010 - 1e-6
    assert made.busy_s <= max(end) - arrivals[0][0] + 1e-6
    assert (made.load, made.running) == (0, [])


def test_a_bucket_is_paid_for_whatever_the_prompt() -> None:
    padded = plan({"prefill_ms_per_token": 1, "bucket": 300}, traffic={"requests_per_s": 0.01, "hours": 2})
    assert simulate(padded).latency["all"].ttft_p50 == pytest.approx(0.300)


def test_the_batch_slows_down_as_its_curve_says() -> None:
    """Overloaded, a replica gives slots / step(slots) tokens a second."""
    made = plan({"step_ms": {1: 10, 4: 25}}, traffic={"requests_per_s": 20, "hours": 0.5})
    assert simulate(made).completion_tokens_per_s == pytest.approx(4 / 0.025 * 50 / 49, rel=0.02)


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_a_server_of_one_slot_is_the_queue_of_the_textbook(load: float) -> None:
    """M/D/1: the mean wait is load x service / (2 (1 - load)) (Pollaczek and Khinchine)."""
    service_s = 49 * 0.010  # the first token comes with the prefill, which takes no time here
    made = plan({"slots": 1}, traffic={"requests_per_s": load / service_s, "hours": 30, "seed": 3})
    requests = make_requests(made)
    result = simulate(made, requests=requests)
    waits = np.array(result.outcome.first_s) - requests.at_s
    assert waits.mean() == pytest.approx(load * service_s / (2 * (1 - load)), rel=0.06)
