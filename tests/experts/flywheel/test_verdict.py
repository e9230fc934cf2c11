"""Five verdicts, each where it belongs, and how often they are wrong."""

from __future__ import annotations

import numpy as np
import pytest

from experts.flywheel.verdict import Rules, Verdict, compare, judge

RULES = Rules(margin=0.03, headroom=0.02, least=50)


def values(right: int, n: int) -> list[float]:
    return [1.0] * right + [0.0] * (n - right)


@pytest.mark.parametrize(
    ("old", "new", "n", "verdict"),
    [
        (500, 600, 1000, Verdict.BETTER),
        (600, 500, 1000, Verdict.WORSE),
        (600, 600, 1000, Verdict.NOT_WORSE),
        (995, 995, 1000, Verdict.NO_HEADROOM),
        (20, 30, 40, Verdict.TOO_LITTLE_DATA),
        (0, 0, 0, Verdict.TOO_LITTLE_DATA),
    ],
)
def test_verdicts(old: int, new: int, n: int, verdict: Verdict) -> None:
    assert compare("m", values(old, n), values(new, n), RULES).verdict is verdict


def test_too_wide_says_how_many_rows_would_say() -> None:
    generator = np.random.default_rng(1)
    old, new = generator.integers(0, 2, 100).tolist(), generator.integers(0, 2, 100).tolist()
    found = compare("m", old, new, RULES)
    assert found.verdict is Verdict.TOO_LITTLE_DATA
    assert found.needed is not None and 1000 < found.needed < 5000


def test_any_guard_that_falls_decides() -> None:
    better, worse = (values(500, 1000), values(600, 1000)), (values(900, 1000), values(800, 1000))
    judgement = judge({"goal": better, "guard": worse}, "goal", RULES)
    assert (judgement.verdict, judgement.because) == (Verdict.WORSE, "guard")
    assert judge({"goal": better, "guard": (values(9, 9), values(9, 9))}, "goal", RULES).because == "guard"
    assert judge({"goal": better}, "goal", RULES).verdict is Verdict.BETTER
    with pytest.raises(KeyError):
        judge({"goal": better}, "other", RULES)
    with pytest.raises(ValueError, match="same rows"):
        compare("m", [1.0], [1.0, 0.0], RULES)


def test_the_bootstrap_over_few_values_is_the_bootstrap(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(2)
    old, new = generator.integers(0, 2, 300).tolist(), generator.integers(0, 2, 300).tolist()
    quick = compare("m", old, new, RULES)
    monkeypatch.setattr("experts.flywheel.verdict._FEW_VALUES", 0)
    slow = compare("m", old, new, RULES)
    assert (quick.low, quick.high) == pytest.approx((slow.low, slow.high), abs=0.01)


def test_an_equal_one_is_seldom_called_better() -> None:
    wrong = 0
    for seed in range(300):
        generator = np.random.default_rng(seed)
        old, new = (generator.random((2, 400)) < 0.7).astype(float)
        wrong += compare("m", old.tolist(), new.tolist(), RULES, seed=seed).verdict is Verdict.BETTER
    assert wrong <= 17  # 2.5 % of 300 are 7.5; more than 17 has probability .001
