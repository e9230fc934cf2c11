from itertools import pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from router.decision import Reason
from router.errors import NoExpertsError, UnknownExpertError
from router.policy.decide import ExpertState, Policy, RoutingPreferences, decide
from router.policy.objective import usd_of
from router.policy.sticky import STAYS, Previous

NAMES = ["advisor", "coder", "generalist", "researcher", "tool-caller"]
POLICY = Policy(default_expert="generalist", abstain_below=0.5)


@st.composite
def catalogues(draw: st.DrawFn) -> list[ExpertState]:
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True))
    window, queue = st.integers(1, 10_000), st.integers(0, 100)
    return [
        ExpertState(
            name, draw(window), draw(st.booleans()), draw(queue), draw(st.integers(0, 32)), draw(st.floats(0, 5))
        )
        for name in names
    ]


def preferences() -> st.SearchStrategy[RoutingPreferences]:
    return st.builds(
        RoutingPreferences,
        quality_cost=st.floats(0, 1),
        ttft_target_s=st.none() | st.floats(-1, 10),
        max_tokens=st.none() | st.integers(1, 4_000),
    )


previouses = st.none() | st.builds(Previous, st.sampled_from(NAMES), st.sampled_from([1.0, 4.0, STAYS]))
beliefs = st.dictionaries(st.sampled_from(NAMES), st.floats(0, 1))


@given(catalogues(), beliefs, st.integers(0, 10_000), st.booleans(), preferences(), previouses)
def test_every_ranking_keeps_its_promises(
    states: list[ExpertState],
    probabilities: dict[str, float],
    prompt_tokens: int,
    is_pinned: bool,
    wish: RoutingPreferences,
    previous: Previous | None,
) -> None:
    pinned = states[-1].name if is_pinned else None
    made = decide(
        probabilities,
        states,
        POLICY,
        prompt_tokens=prompt_tokens,
        router_version="v",
        pinned=pinned,
        preferences=wish,
        previous=previous,
    )
    assert sorted(one.expert for one in made.ranking) == sorted(state.name for state in states)
    assert all(0.0 <= one.probability <= 1.0 for one in made.ranking)
    assert made.confidence == made.ranking[0].probability
    by_name = {state.name: state for state in states}
    if pinned:
        assert (made.expert, made.reason) == (pinned, Reason.PINNED)
    else:
        healthy = [state for state in states if state.healthy]
        assert by_name[made.expert].healthy or not healthy
        fitting = [state for state in healthy if prompt_tokens < state.context_window]
        assert by_name[made.expert] in fitting or not fitting


@given(catalogues(), beliefs, st.integers(0, 10_000), preferences(), previouses, st.randoms(use_true_random=False))
def test_the_order_of_the_catalogue_does_not_matter(
    states: list[ExpertState],
    probabilities: dict[str, float],
    prompt_tokens: int,
    wish: RoutingPreferences,
    previous: Previous | None,
    random: Random,
) -> None:
    made = decide(
        probabilities,
        states,
        POLICY,
        prompt_tokens=prompt_tokens,
        router_version="v",
        preferences=wish,
        previous=previous,
    )
    shuffled = random.sample(states, len(states))
    again = decide(
        probabilities,
        shuffled,
        POLICY,
        prompt_tokens=prompt_tokens,
        router_version="v",
        preferences=wish,
        previous=previous,
    )
    assert made == again


def experts_at(prices: list[int], ups: list[bool]) -> list[ExpertState]:
    return [
        ExpertState(name, 4096, is_up, 0, 8, float(price), price / 4)
        for name, price, is_up in zip(NAMES, prices, ups, strict=True)
    ]


five: dict[str, Any] = {"min_size": 5, "max_size": 5}


@given(
    st.lists(st.integers(0, 9), **five),
    st.lists(st.booleans(), **five),
    st.lists(st.integers(0, 100), **five),
    st.integers(0, 4_000),
    previouses,
)
def test_cost_and_quality_only_fall_as_the_knob_moves(
    prices: list[int], ups: list[bool], percents: list[int], tokens: int, previous: Previous | None
) -> None:
    states, by_name = experts_at(prices, ups), {state.name: state for state in experts_at(prices, ups)}
    probabilities = {name: percent / 100 for name, percent in zip(NAMES, percents, strict=True)}
    # Where everybody who is up is ruled out, there is no quality to give up, and a conversation may stay at any price.
    assume(any(is_up and percent > 0 for is_up, percent in zip(ups, percents, strict=True)))
    made = [
        decide(
            probabilities,
            states,
            POLICY,
            prompt_tokens=tokens,
            router_version="v",
            preferences=RoutingPreferences(quality_cost=at / 20),
            previous=previous,
        )
        for at in range(21)
    ]
    costs = [usd_of(by_name[one.expert], tokens, 200) for one in made]
    assert all(later <= earlier + 1e-12 for earlier, later in pairwise(costs))
    if previous is None:
        assert all(later.confidence <= earlier.confidence for earlier, later in pairwise(made))


@given(st.integers(0, 9), st.lists(st.integers(0, 100), **five), st.floats(0, 1), previouses)
def test_with_equal_prices_the_knob_changes_nothing(
    price: int, percents: list[int], knob: float, previous: Previous | None
) -> None:
    states = experts_at([price] * 5, [True] * 5)
    probabilities = {name: percent / 100 for name, percent in zip(NAMES, percents, strict=True)}
    plain, moved = (
        decide(probabilities, states, POLICY, prompt_tokens=99, router_version="v", preferences=wish, previous=previous)
        for wish in (RoutingPreferences(), RoutingPreferences(quality_cost=knob))
    )
    assert plain == moved


def test_no_price_brings_in_an_expert_that_is_ruled_out() -> None:
    states = [state("coder", usd_per_million_tokens=9.0), state("tool-caller", usd_per_million_tokens=0.0)]
    made = decide({"coder": 0.6, "tool-caller": 0.0}, states, POLICY, prompt_tokens=9, router_version="v",
                  preferences=RoutingPreferences(quality_cost=1.0))  # fmt: skip
    assert made.expert == "coder"


def converse(probabilities: dict[str, float], previous: Previous) -> tuple[Reason, str]:
    states = [state(name) for name in NAMES]
    made = decide(probabilities, states, POLICY, prompt_tokens=9, router_version="v", previous=previous)
    return made.reason, made.expert


def test_a_conversation_moves_only_for_a_clear_gain() -> None:
    close, clear = {"coder": 0.71, "advisor": 0.72}, {"coder": 0.40, "advisor": 0.72}
    assert converse(close, Previous("coder")) == (Reason.STICKY, "coder")
    assert converse(clear, Previous("coder")) == (Reason.CLASSIFIED, "advisor")
    assert converse(clear, Previous("coder", STAYS)) == (Reason.STICKY, "coder")
    assert converse(close, Previous("advisor")) == (Reason.CLASSIFIED, "advisor")


def test_an_unsure_turn_stays_rather_than_goes_to_the_default() -> None:
    assert converse({"coder": 0.2, "advisor": 0.4}, Previous("coder")) == (Reason.STICKY, "coder")
    assert converse({"coder": 0.2}, Previous("nobody known")) == (Reason.ABSTAINED, "generalist")


def test_a_conversation_does_not_stay_with_one_that_is_down() -> None:
    states = [state("coder", healthy=False), state("advisor")]
    made = decide({"coder": 0.9, "advisor": 0.6}, states, POLICY, prompt_tokens=9, router_version="v",
                  previous=Previous("coder", STAYS))  # fmt: skip
    assert (made.reason, made.expert) == (Reason.UNHEALTHY, "advisor")


def state(name: str, **changes: object) -> ExpertState:
    values: dict[str, object] = {
        "context_window": 4096, "healthy": True, "queue_len": 0, "max_batch_size": 8, "usd_per_million_tokens": 1.0
    }  # fmt: skip
    return ExpertState(name, **(values | changes))  # type: ignore[arg-type]


def reason_and_expert(
    states: list[ExpertState], probabilities: dict[str, float], tokens: int = 10
) -> tuple[Reason, str]:
    made = decide(probabilities, states, POLICY, prompt_tokens=tokens, router_version="v")
    return made.reason, made.expert


def test_reasons() -> None:
    both = [state("coder"), state("generalist")]
    assert reason_and_expert(both, {"coder": 0.9}) == (Reason.CLASSIFIED, "coder")
    assert reason_and_expert(both, {"coder": 0.49}) == (Reason.ABSTAINED, "generalist")
    down = [state("coder", healthy=False), state("generalist")]
    assert reason_and_expert(down, {"coder": 0.9}) == (Reason.UNHEALTHY, "generalist")
    small = [state("coder", context_window=100), state("generalist")]
    assert reason_and_expert(small, {"coder": 0.9}, tokens=100) == (Reason.OVER_CONTEXT, "generalist")


def test_ties_go_to_the_shorter_queue_then_to_the_lower_price() -> None:
    level = {"coder": 0.801, "advisor": 0.799}
    busy = [state("advisor"), state("coder", queue_len=1)]
    assert reason_and_expert(busy, level) == (Reason.CLASSIFIED, "advisor")
    dear = [state("advisor", usd_per_million_tokens=2.0), state("coder")]
    assert reason_and_expert(dear, level) == (Reason.CLASSIFIED, "coder")


def test_refusals_are_typed() -> None:
    with pytest.raises(NoExpertsError):
        decide({}, [], POLICY, prompt_tokens=0, router_version="v")
    with pytest.raises(UnknownExpertError):
        decide({}, [state("coder")], POLICY, prompt_tokens=0, router_version="v", pinned="nobody")


@given(catalogues(), beliefs, st.integers(0, 10_000), preferences(), previouses)
def test_a_suspicion_never_lowers_the_choice(
    states: list[ExpertState],
    probabilities: dict[str, float],
    prompt_tokens: int,
    wish: RoutingPreferences,
    previous: Previous | None,
) -> None:
    def first(is_suspected: bool) -> str:
        return decide(
            probabilities,
            states,
            POLICY,
            prompt_tokens=prompt_tokens,
            router_version="v",
            preferences=wish,
            previous=previous,
            is_suspected=is_suspected,
        ).expert

    usual, suspected = first(False), first(True)
    if usual != POLICY.default_expert:
        assert suspected == usual
    others = [one for one in states if one.name != POLICY.default_expert and probabilities.get(one.name, 0.0) > 0.0]
    if any(one.healthy and prompt_tokens < one.context_window for one in others):
        assert suspected != POLICY.default_expert


@pytest.mark.parametrize(("words", "expert"), [(0.6, "tool-caller"), (0.89, "tool-caller"), (0.97, "coder")])
def test_an_expert_of_the_form_answers_unless_the_words_are_surer(words: float, expert: str) -> None:
    states = [state("coder"), state("tool-caller", at_least=0.9), state("generalist")]
    found = {"coder": words, "tool-caller": 0.0, "generalist": 0.1}
    made = decide(found, states, POLICY, prompt_tokens=9, router_version="v")
    assert (made.expert, made.reason) == (expert, Reason.CLASSIFIED)
    assert made.confidence == max(words, 0.9)


def test_the_form_decides_where_the_words_say_nothing() -> None:
    states = [state("coder"), state("tool-caller", at_least=0.9), state("generalist")]
    made = decide({}, states, POLICY, prompt_tokens=9, router_version="v")
    assert (made.expert, made.reason) == ("tool-caller", Reason.CLASSIFIED)


def test_an_expert_of_the_form_that_is_down_gives_way() -> None:
    states = [state("coder"), state("tool-caller", at_least=0.9, healthy=False)]
    made = decide({"coder": 0.7}, states, POLICY, prompt_tokens=9, router_version="v")
    assert (made.expert, made.reason) == ("coder", Reason.UNHEALTHY)
