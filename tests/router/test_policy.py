import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.decision import Reason
from router.errors import NoExpertsError, UnknownExpertError
from router.policy import ExpertState, Policy, decide

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


beliefs = st.dictionaries(st.sampled_from(NAMES), st.floats(0, 1))


@given(catalogues(), beliefs, st.integers(0, 10_000), st.booleans())
def test_every_ranking_keeps_its_promises(
    states: list[ExpertState], probabilities: dict[str, float], prompt_tokens: int, is_pinned: bool
) -> None:
    pinned = states[-1].name if is_pinned else None
    made = decide(probabilities, states, POLICY, prompt_tokens=prompt_tokens, router_version="v", pinned=pinned)
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


@given(catalogues(), beliefs, st.integers(0, 10_000), st.randoms())
def test_the_order_of_the_catalogue_does_not_matter(
    states: list[ExpertState], probabilities: dict[str, float], prompt_tokens: int, random: object
) -> None:
    made = decide(probabilities, states, POLICY, prompt_tokens=prompt_tokens, router_version="v")
    turned = decide(probabilities, states[::-1], POLICY, prompt_tokens=prompt_tokens, router_version="v")
    assert made == turned


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
