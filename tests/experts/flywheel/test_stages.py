"""A candidate goes a stage further when enough was seen and nothing speaks against it, and no other way."""

from __future__ import annotations

import pytest

from experts.flywheel.stages import DOUBT, STAGES, Move, Seen, Stage, next_step

SURE = {"error": 1.0, "rating": 0.2}


@pytest.mark.parametrize(
    ("share", "answers", "move", "to"),
    [
        (0.0, {}, Move.UP, 0.01),
        (0.01, {0.01: 49}, Move.WAIT, 0.01),
        (0.01, {0.01: 50}, Move.UP, 0.05),
        (0.05, {0.01: 5000}, Move.WAIT, 0.05),
        (0.05, {0.01: 50, 0.05: 200}, Move.UP, 0.25),
        (0.25, {0.25: 499}, Move.WAIT, 0.25),
        (0.25, {0.25: 500}, Move.PASSED, 0.25),
        (0.5, {0.5: 1}, Move.PASSED, 0.5),
        (0.1, {}, Move.UP, 0.25),
    ],
)
def test_steps(share: float, answers: dict[float, int], move: Move, to: float) -> None:
    step = next_step(share, Seen(answers, SURE))
    assert (step.move, step.share) == (move, to)


def test_a_doubt_holds_it_and_proof_ends_it() -> None:
    held = next_step(0.25, Seen({0.25: 10_000}, {"error": 1.0, "rating": DOUBT}))
    assert held.move is Move.HOLD and "rating" in held.why
    assert next_step(0.25, Seen({0.25: 10_000}, {"rating": DOUBT - 0.1})).move is Move.PASSED
    ended = next_step(0.25, Seen({0.25: 10_000}, {}, "error, 9 against 1"))
    assert (ended.move, ended.share) == (Move.END, 0.0)


def test_the_table_is_the_users() -> None:
    table = (Stage(0.1, 3), Stage(0.5, 4))
    assert next_step(0.0, Seen(), table).share == 0.1
    assert next_step(0.1, Seen({0.1: 3}), table).share == 0.5
    assert [stage.share for stage in STAGES] == [0.01, 0.05, 0.25]
