import math
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.policy.estimates import FORGET_S, Ewma, ExpertEstimate


def answered(times: list[float], at: float = 0.0, slot_s: float = 1.0) -> ExpertEstimate:
    found = ExpertEstimate()
    for ttft_s in times:
        found = found.answered(ttft_s=ttft_s, queue_s=0.0, slot_s=slot_s, completion_tokens=100, at=at)
    return found


@given(st.lists(st.floats(0, 100), min_size=1, max_size=10))
def test_few_observations_are_a_plain_mean_and_variance(values: list[float]) -> None:
    found = Ewma()
    for value in values:
        found = found.observed(value)
    assert math.isclose(found.mean, statistics.fmean(values), abs_tol=1e-6)
    assert math.isclose(found.variance, statistics.pvariance(values), abs_tol=1e-6)


def test_old_observations_fade() -> None:
    found = Ewma()
    for value in [10.0] * 50 + [1.0] * 50:
        found = found.observed(value)
    assert 1.0 < found.mean < 1.1


@given(
    st.lists(st.floats(0.001, 10), min_size=1, max_size=30),
    st.floats(0.001, 20),
    st.floats(0.001, 20),
    st.integers(0, 50),
    st.integers(0, 50),
)
def test_lateness_is_a_probability_that_falls_with_patience_and_rises_with_the_queue(
    times: list[float], patience: float, more: float, queue: int, longer: int
) -> None:
    found = answered(times)

    def late(target_s: float, queue_len: int) -> float:
        return found.p_late(target_s, queue_len=queue_len, max_batch_size=8, now=1.0)

    assert 0.0 <= late(patience, queue) <= 1.0
    assert late(patience + more, queue) <= late(patience, queue) + 1e-9
    mean_with_queue = found.first_token.mean + max(0, queue + longer - 7) / 8
    if mean_with_queue < patience:  # below its own mean a wider spread may help
        return
    assert late(patience, 7) <= late(patience, 7 + queue + longer) + 0.5


def test_the_probability_is_the_one_of_the_times_it_saw() -> None:
    generator = random.Random(0)
    times = [generator.lognormvariate(-1.0, 0.4) for _ in range(4_000)]
    found = ExpertEstimate(first_token=Ewma(statistics.fmean(times), statistics.pvariance(times), len(times)), at=0.0)
    for target_s in (0.2, 0.4, 0.8):
        seen = sum(time > target_s for time in times) / len(times)
        assert found.p_late(target_s, queue_len=0, max_batch_size=8, now=0.0) == pytest.approx(seen, abs=0.02)


def test_a_full_batch_costs_its_turn() -> None:
    found = answered([0.1] * 20, slot_s=4.0)
    assert found.p_late(0.5, queue_len=7, max_batch_size=8, now=0.0) == 0.0  # a slot is free
    assert found.p_late(0.5, queue_len=8, max_batch_size=8, now=0.0) > 0.3  # one frees every half second
    assert found.p_late(0.5, queue_len=40, max_batch_size=8, now=0.0) > 0.99


def test_time_that_is_already_gone_is_late() -> None:
    assert answered([0.1]).p_late(0.0, queue_len=0, max_batch_size=1, now=0.0) == 1.0


def test_an_expert_unheard_of_is_given_a_chance_again() -> None:
    slow = answered([9.0] * 5, at=0.0)
    assert slow.p_late(1.0, queue_len=0, max_batch_size=8, now=FORGET_S) > 0.99
    assert slow.p_late(1.0, queue_len=0, max_batch_size=8, now=FORGET_S + 1) == 0.0
    assert ExpertEstimate().p_late(1.0, queue_len=99, max_batch_size=1, now=0.0) == 0.0
    fresh = slow.answered(ttft_s=0.1, queue_s=0.0, slot_s=1.0, completion_tokens=7, at=FORGET_S + 1)
    assert fresh.first_token.mean == pytest.approx(0.1)
    assert fresh.completion_tokens.count == 6  # how long its answers are has not changed with its load
