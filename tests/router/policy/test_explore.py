import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.decision import Candidate, Reason, RouteDecision
from router.policy.decide import ExpertState
from router.policy.explore import Exploration, propensities

NAMES = ["advisor", "coder", "generalist"]


def decision(reason: Reason = Reason.CLASSIFIED) -> RouteDecision:
    ranking = (Candidate("coder", 0.8), Candidate("advisor", 0.3), Candidate("generalist", 0.2))
    return RouteDecision(ranking, reason, 0.8, "v", 0.0)


def states(**down: bool) -> list[ExpertState]:
    return [ExpertState(name, 100, not down.get(name, False), 0, 8, 1.0) for name in NAMES]


@given(st.lists(st.text(min_size=1), min_size=1, unique=True), st.floats(0, 1), st.data())
def test_propensities_sum_to_one(names: list[str], epsilon: float, data: st.DataObject) -> None:
    greedy = data.draw(st.sampled_from(names))
    found = propensities(greedy, names, epsilon)
    assert sum(found.values()) == pytest.approx(1.0)
    assert max(found, key=lambda name: found[name]) == greedy or epsilon == 1.0
    assert all(chance >= epsilon / len(names) - 1e-12 for chance in found.values())


def test_what_is_written_down_is_how_often_it_happens() -> None:
    exploration = Exploration(0.3, random.Random(1))
    made = [exploration.explore(decision(), states(), 10) for _ in range(20_000)]
    seen = Counter(one.expert for one in made)
    written = {one.expert: one.propensity for one in made}
    assert sum(written.values()) == pytest.approx(1.0)
    for name, propensity in written.items():
        assert seen[name] / len(made) == pytest.approx(propensity, abs=0.01)
    assert all(sorted(c.expert for c in one.ranking) == NAMES for one in made[:100])
    assert all(one.confidence == one.ranking[0].probability for one in made[:100])


def test_the_same_seed_draws_the_same() -> None:
    draws = [[Exploration(0.5, random.Random(7)).explore(decision(), states(), 1) for _ in range(3)] for _ in range(2)]
    assert draws[0] == draws[1]


def test_nobody_who_could_not_answer_is_tried() -> None:
    exploration = Exploration(1.0, random.Random(0))
    made = [exploration.explore(decision(), states(advisor=True), 10) for _ in range(300)]
    assert {one.expert for one in made} == {"coder", "generalist"}
    assert {one.propensity for one in made} == {0.5}


@pytest.mark.parametrize("reason", [Reason.PINNED, Reason.STICKY, Reason.UNHEALTHY, Reason.OVER_CONTEXT])
def test_choices_that_are_not_free_are_kept(reason: Reason) -> None:
    kept = decision(reason)
    assert all(Exploration(1.0, random.Random(at)).explore(kept, states(), 10) == kept for at in range(20))


def test_no_epsilon_no_exploration() -> None:
    made = Exploration(0.0, random.Random(0)).explore(decision(), states(), 10)
    assert made == decision()._replace(propensity=1.0)
