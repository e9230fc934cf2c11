from dataclasses import replace

import numpy as np
import pytest

from router.evaluation.switching import GAINS, choices, conversations, curve, fold_of
from router.features.featurize import RouteQuery, Turn
from router.model.artifact import load
from router.model.gate import Gate
from router.policy.settings import policy_of
from router.training.dataset import Row


def talk(*texts: str, label: str, tags: tuple[str, ...] = ()) -> Row:
    roles = ("user", "assistant")
    return Row("t", RouteQuery(tuple(Turn(roles[at % 2], text) for at, text in enumerate(texts))), (label,), tags)


CODE = "Write a python function that parses dates"
FOLLOWS = talk(CODE, "def parse(text): ...", "in Rust now", label="coder", tags=("followup",))
CHANGES = talk(
    CODE, "def parse(text): ...", "Who was the first emperor of Rome, and when did he die?", label="researcher"
)


@pytest.fixture(scope="module")
def gates() -> list[Gate]:
    return [Gate(load())] * 2


def test_conversations_alone_are_judged() -> None:
    alone = talk("hello", label="generalist")
    tools = replace(FOLLOWS, query=replace(FOLLOWS.query, has_tools=True))
    assert conversations([alone, FOLLOWS, tools]) == [FOLLOWS]


def test_conversations_that_begin_alike_lie_in_one_fold() -> None:
    assert fold_of(FOLLOWS, 4) == fold_of(CHANGES, 4)
    assert {fold_of(talk(f"{at} begins", "ok", "more", label="coder"), 4) for at in range(40)} == {0, 1, 2, 3}


def test_a_gain_that_nothing_reaches_keeps_short_turns_and_loses_changes_of_subject(gates: list[Gate]) -> None:
    policy = policy_of(gates[0].artifact)
    assert choices([FOLLOWS, CHANGES], gates, policy) == ["coder", "researcher"]
    assert choices([FOLLOWS, CHANGES], gates, replace(policy, switch_gain=1.0)) == ["coder", "coder"]
    points = curve([FOLLOWS, CHANGES], gates, policy, seed=0)
    assert [point.gain for point in points] == [None, *GAINS]
    assert points[-1].stays[0] == 1.0 and points[-1].moves[0] <= points[1].moves[0]
    assert all(np.all(np.diff(point.follow_ups[1:]) >= 0) for point in points)
