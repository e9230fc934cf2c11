"""A trial ends soon where the candidate is bad, and seldom where it is not, however long it is watched."""

from __future__ import annotations

import random

import pytest

from experts.flywheel.trial import Bet, Trial


def watch(bad: float, canary_bad: float, *, share: float = 0.25, answers: int = 4000, seed: int = 0) -> Trial:
    """Answers of both, of which these shares fail, until the trial ends."""
    generator, trial = random.Random(seed), Trial()
    for number in range(answers):
        is_canary = generator.random() < share
        origin = number.to_bytes(4, "big")
        if generator.random() < (canary_bad if is_canary else bad):
            trial.failed(origin, is_canary=is_canary, share=share)
        else:
            trial.answered(origin, is_canary=is_canary, share=share, ttft_s=generator.random(), usd=1e-5)
        if trial.breach is not None:
            break
    return trial


@pytest.mark.parametrize("share", [0.01, 0.05, 0.25])
def test_a_sabotaged_one_is_stopped_within_a_few_answers(share: float) -> None:
    for seed in range(20):
        trial = watch(0.01, 1.0, share=share, seed=seed, answers=20_000)
        assert trial.breach is not None and trial.breach.kind == "error"
        assert trial.answers <= 30


def test_an_equal_one_is_seldom_stopped() -> None:
    stopped = sum(watch(0.05, 0.05, seed=seed).breach is not None for seed in range(60))
    assert stopped <= 4  # each with probability .01 at most; five or more of sixty has probability .0003


def test_what_is_tolerated_is_no_breach() -> None:
    assert sum(watch(0.05, 0.0625, seed=seed).breach is not None for seed in range(40)) <= 3


def test_a_slow_one_is_stopped() -> None:
    generator, trial = random.Random(1), Trial()
    for number in range(4000):
        is_canary = number % 4 == 0
        seconds = generator.lognormvariate(0, 0.5) * (3 if is_canary else 1)
        trial.answered(number.to_bytes(4, "big"), is_canary=is_canary, share=0.25, ttft_s=seconds, usd=1e-5)
    assert trial.breach is not None and trial.breach.kind == "slow"
    assert set(trial.breach.as_dict()) == {"kind", "bad_of_canary", "bad_of_incumbent", "wealth"}


def test_a_conversation_counts_once() -> None:
    trial = Trial()
    for _ in range(1000):
        trial.failed(b"the same", is_canary=True, share=0.25)
    assert trial.breach is None


def test_a_bet_is_fair_where_nothing_is_wrong() -> None:
    """The mean of the wealth stays at most 1: that is what the guarantee rests on."""
    total = 0.0
    for seed in range(4000):
        generator, bet = random.Random(seed), Bet(1.0)
        for _ in range(5):
            bet.bad(is_canary=generator.random() < 0.25, share=0.25)
        total += bet.wealth
    assert total / 4000 < 1.25


def test_everything_or_nothing_is_no_trial() -> None:
    trial = Trial()
    for number in range(100):
        trial.failed(bytes([number]), is_canary=True, share=1.0)
    assert trial.breach is None
