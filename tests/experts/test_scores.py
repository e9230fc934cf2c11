"""Intervals against known values, and summaries over the rows that a measure applies to."""

import pytest

from experts.evaluation.suites.scores import mean, share, summarise


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    # The tool-calling tutorial's 92 % and 72 % of 50, and the ends; R: prop.test(x, n, correct = FALSE)
    [(46, 50, 0.8116, 0.9684), (36, 50, 0.5833, 0.8253), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0)],
)
def test_wilson(successes: int, n: int, low: float, high: float) -> None:
    found = share(successes, n)
    assert (found.value, found.n) == (successes / n, n)
    assert (found.low, found.high) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


def test_the_bootstrap_repeats_by_seed_and_holds_the_mean() -> None:
    values = [0.0, 0.25, 0.5, 1.0] * 25
    found = mean(values, seed=1)
    assert found == mean(values, seed=1)
    assert found.low < found.value < found.high
    # The normal interval of these values is 0.4375 +- 0.0728.
    assert (found.low, found.high) == (pytest.approx(0.365, abs=0.01), pytest.approx(0.510, abs=0.01))


def test_a_measure_counts_only_the_rows_it_applies_to() -> None:
    scores = summarise([{"a": True, "b": 0.5}, {"a": False}, {"b": True}], seed=0)
    assert (scores["a"].value, scores["a"].n) == (0.5, 2)
    assert (scores["b"].value, scores["b"].n) == (0.75, 2)
    assert scores["a"].as_dict() == {"value": 0.5, "ci95": [0.0945, 0.9055], "n": 2}
