"""A router made of a rule: what it shares with the learned one, and the even draw."""

import random
from collections import Counter

import pytest

from router.decision import Reason
from router.errors import ArtifactError, NoExpertsError, UnknownExpertError
from router.features.featurize import RouteQuery, query_from_openai
from router.model.artifact import load
from router.model.gate import TOOL_CALLER
from router.policy.decide import ExpertState, Policy, RoutingPreferences
from router.policy.explore import Exploration
from router.policy.keywords import keywords
from router.policy.rules import RuleRouter, random_router, uniform

POLICY = Policy("generalist", 0.0)


def ask(*texts: str) -> RouteQuery:
    turns = [{"role": role, "content": text} for text in texts[:-1] for role in ("user",)]
    answered = [turn for pair in ((turn, {"role": "assistant", "content": "Done."}) for turn in turns) for turn in pair]
    return query_from_openai([*answered, {"role": "user", "content": texts[-1]}])


@pytest.fixture
def router() -> RuleRouter:
    ticks = iter(range(100))
    return RuleRouter(keywords, "keywords", POLICY, clock=lambda: float(next(ticks)))


def test_every_expert_is_ranked_by_the_rule(router: RuleRouter, states: list[ExpertState]) -> None:
    decision = router.route(ask("fix this python script"), states)
    assert (decision.expert, decision.reason, decision.confidence) == ("coder", Reason.CLASSIFIED, 0.76)
    assert [one.expert for one in decision.ranking] == ["coder", "advisor", "researcher", "generalist", TOOL_CALLER]
    assert (decision.router_version, decision.route_s, decision.propensity) == ("keywords", 1.0, 1.0)


def test_pins_health_and_size_work_as_ever(router: RuleRouter, states: list[ExpertState]) -> None:
    code = ask("fix this python script")
    assert router.route(code, states, pinned="advisor").reason is Reason.PINNED
    is_down = [state._replace(healthy=state.name != "coder") for state in states]
    assert router.route(code, is_down).reason is Reason.UNHEALTHY
    is_small = [state._replace(context_window=1 if state.name == "coder" else 8192) for state in states]
    assert router.route(code, is_small).reason is Reason.OVER_CONTEXT
    with pytest.raises(UnknownExpertError):
        router.route(code, states, pinned="nobody")
    with pytest.raises(NoExpertsError):
        router.route(code, [])


def test_a_conversation_stays(router: RuleRouter, states: list[ExpertState]) -> None:
    follow_up = router.route(ask("fix this python script", "shorter please"), states)
    assert (follow_up.expert, follow_up.reason) == ("coder", Reason.STICKY)
    named = router.route(ask("shorter please"), states, preferences=RoutingPreferences(previous_expert="advisor"))
    assert (named.expert, named.reason) == ("advisor", Reason.STICKY)
    assert (
        router.route(ask("fix this python script", "now write a poem about the sea for me"), states).expert == "advisor"
    )


def test_an_unsure_rule_gives_way_to_the_default(states: list[ExpertState]) -> None:
    router = RuleRouter(keywords, "keywords", Policy("generalist", 0.5))
    decision = router.route(ask("who was Euler?"), states)
    assert (decision.expert, decision.reason) == ("generalist", Reason.ABSTAINED)


def test_experts_that_the_rule_does_not_know_are_ranked_last(router: RuleRouter) -> None:
    states = [ExpertState(name, 8192, True, 0, 16, 0.1) for name in ("poet", "advisor")]
    assert [one.expert for one in router.route(ask("fix this python script"), states).ranking] == ["advisor", "poet"]


def test_it_can_explore(states: list[ExpertState]) -> None:
    router = RuleRouter(keywords, "keywords", POLICY, Exploration(0.5, random.Random(1)))
    decisions = [router.route(ask("fix this python script"), states) for _ in range(200)]
    assert {one.propensity for one in decisions if one.expert == "coder"} == {0.6}
    assert 0.4 < sum(one.expert == "coder" for one in decisions) / 200 < 0.8


def test_the_even_draw_is_even_and_says_so(states: list[ExpertState]) -> None:
    router = random_router("generalist", random.Random(2))
    decisions = [router.route(ask("fix this python script"), states) for _ in range(1000)]
    counts = Counter(one.expert for one in decisions)
    assert set(counts) == {state.name for state in states}
    assert all(140 < count < 260 for count in counts.values())
    assert {(one.reason, one.confidence, one.propensity) for one in decisions} == {(Reason.CLASSIFIED, 0.2, 0.2)}
    again = random_router("generalist", random.Random(2))
    assert [again.route(ask("x"), states).expert for _ in range(20)] == [one.expert for one in decisions[:20]]


def test_the_even_draw_leaves_out_who_cannot_answer(states: list[ExpertState]) -> None:
    router = random_router("generalist", random.Random(2))
    some = [state._replace(healthy=state.name in {"coder", "advisor"}) for state in states]
    decisions = [router.route(ask("hello"), some) for _ in range(50)]
    assert {one.expert for one in decisions} == {"coder", "advisor"}
    assert {one.propensity for one in decisions} == {0.5}


def test_the_even_draw_follows_only_whom_the_caller_names(states: list[ExpertState]) -> None:
    router = random_router("generalist", random.Random(2))
    assert {router.route(ask("hello", "shorter"), states).reason for _ in range(20)} == {Reason.CLASSIFIED}
    named = RoutingPreferences(previous_expert="advisor")
    assert {router.route(ask("hello", "shorter"), states, preferences=named).expert for _ in range(20)} == {"advisor"}


def test_uniform_of_nobody() -> None:
    assert uniform(ask("hello"), []) == {}


def test_a_rule_has_no_artefact(router: RuleRouter) -> None:
    assert (router.training_mix, router.gate, router.changed_artifact()) == ({}, None, None)
    with pytest.raises(ArtifactError, match="keywords"):
        router.take_up(load())
