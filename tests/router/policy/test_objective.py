import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.policy.cost_knob import Knob
from router.policy.estimates import ExpertEstimate
from router.policy.objective import ExpertState, Objective, RoutingPreferences, expected_completion_tokens, usd_of

PLAIN = Objective(Knob((0.0, 1.0)))
NAMES = ["advisor", "coder", "generalist"]


def state(name: str, price: float = 1.0, tokens: int | None = None) -> ExpertState:
    estimate = ExpertEstimate()
    if tokens is not None:
        estimate = estimate.answered(ttft_s=0.1, queue_s=0, slot_s=1, completion_tokens=tokens, at=0.0)
    return ExpertState(name, 4096, True, 0, 8, price, price / 4, estimate)


@given(st.lists(st.floats(0, 1), min_size=3, max_size=3), st.floats(0, 1), st.integers(0, 5_000), st.floats(0, 50))
def test_equal_prices_leave_every_worth_as_it_was(
    beliefs: list[float], knob: float, prompt_tokens: int, price: float
) -> None:
    states = [state(name, price, tokens=100 * at) for at, name in enumerate(NAMES)]
    probabilities = dict(zip(NAMES, beliefs, strict=True))
    plain = Objective().utilities(probabilities, states, RoutingPreferences(), prompt_tokens)
    assert Objective().utilities(probabilities, states, RoutingPreferences(quality_cost=knob), prompt_tokens) == plain


def test_cost_is_what_the_dearer_expert_adds_in_reference_answers() -> None:
    states = [state("coder", 4.0), state("generalist", 1.0)]
    worth = PLAIN.utilities({"coder": 0.9, "generalist": 0.6}, states, RoutingPreferences(quality_cost=1.0), 0)
    assert worth["generalist"] == pytest.approx(0.6)
    usual, dearest = 200 * 3.0, 200 * 4.0 + 200 * 1.0  # what coder adds to an answer; the reference answer
    assert worth["coder"] == pytest.approx(0.9 - usual / dearest)


def test_a_limit_on_the_answer_limits_its_cost() -> None:
    states = [state("coder", 4.0), state("generalist", 1.0)]
    short = PLAIN.utilities({"coder": 0.9}, states, RoutingPreferences(quality_cost=1.0, max_tokens=2), 0)
    assert short["coder"] == pytest.approx(0.9 - 2 * 3.0 / 1000)


def test_the_answers_length_is_that_of_the_likely_experts() -> None:
    states = [state("coder", tokens=400), state("generalist", tokens=20)]
    assert expected_completion_tokens({"coder": 1.0}, states) == 400
    assert expected_completion_tokens({"coder": 0.5, "generalist": 0.5}, states) == 210
    assert expected_completion_tokens({}, states) == 210
    assert expected_completion_tokens({"coder": 1.0}, [state("coder")]) == 200


def test_lateness_counts_only_for_those_who_care() -> None:
    slow = ExpertEstimate().answered(ttft_s=5.0, queue_s=0, slot_s=1, completion_tokens=9, at=0.0)
    states = [ExpertState("coder", 4096, True, 0, 8, 1.0, 1.0, slow), state("generalist")]
    beliefs = {"coder": 0.9, "generalist": 0.5}
    assert Objective().utilities(beliefs, states, RoutingPreferences(), 10) == beliefs
    hurried = Objective(late_weight=0.5).utilities(beliefs, states, RoutingPreferences(ttft_target_s=1.0), 10)
    assert hurried == {"coder": pytest.approx(0.4), "generalist": 0.5}


def test_prices_are_usd_a_million() -> None:
    assert usd_of(state("coder", 4.0), 1e6, 2e6) == pytest.approx(1.0 + 8.0)
