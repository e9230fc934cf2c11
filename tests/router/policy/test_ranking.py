"""What every router does with a judge's opinion: conversations and exploration."""

import random
from collections.abc import Mapping, Sequence

import pytest

from router.decision import Reason
from router.features.featurize import RouteQuery, query_from_openai
from router.policy.decide import ExpertState, Policy, RoutingPreferences
from router.policy.explore import Exploration
from router.policy.ranking import Ranking


def judge(query: RouteQuery, experts: Sequence[str]) -> Mapping[str, float]:
    """Sure of code, unsure of greetings, and mildly for advice otherwise."""
    text = next(turn.text for turn in reversed(query.turns) if turn.role == "user")
    if "python" in text:
        return {"coder": 0.9}
    return {"generalist": 0.2} if "hello" in text else {"advisor": 0.6, "coder": 0.59}


def chat(*texts: str) -> RouteQuery:
    turns = [{"role": "assistant" if at % 2 else "user", "content": text} for at, text in enumerate(texts)]
    return query_from_openai(turns)


@pytest.fixture
def ranking() -> Ranking:
    return Ranking(judge, "made", Policy("generalist", 0.5))


def test_a_conversation_stays_with_whom_the_judge_would_have_named(ranking: Ranking, states: list[ExpertState]) -> None:
    decision = ranking.rank(chat("fix this python", "Done.", "make it shorter"), states)
    assert (decision.expert, decision.reason, decision.router_version) == ("coder", Reason.STICKY, "made")


def test_an_earlier_turn_that_nobody_was_sure_of_holds_nobody(ranking: Ranking, states: list[ExpertState]) -> None:
    assert ranking.rank(chat("hello", "Hi!", "make it shorter"), states).reason is Reason.CLASSIFIED
    again = ranking.rank(chat("hello", "Hi!", "hello?"), states)
    assert (again.expert, again.reason) == ("generalist", Reason.ABSTAINED)


def test_without_following_only_the_caller_says_who_answered(states: list[ExpertState]) -> None:
    ranking = Ranking(judge, "made", Policy("generalist", 0.5), follows_conversations=False)
    assert ranking.rank(chat("fix this python", "Done.", "make it shorter"), states).expert == "advisor"
    named = RoutingPreferences(previous_expert="coder")
    assert ranking.rank(chat("make it shorter"), states, preferences=named).expert == "coder"


def test_exploration_leaves_a_conversation_where_it_is(states: list[ExpertState]) -> None:
    ranking = Ranking(judge, "made", Policy("generalist", 0.5), Exploration(1.0, random.Random(3)))
    first = [ranking.rank(chat("fix this python"), states) for _ in range(40)]
    assert len({one.expert for one in first}) > 2 and {one.propensity for one in first} == {0.2}
    query = chat("fix this python", "Done.", "now the python of the second file, please")
    later = [ranking.rank(query, states) for _ in range(40)]
    assert {(one.expert, one.reason, one.propensity) for one in later} == {("coder", Reason.CLASSIFIED, 1.0)}
