"""The heads while they are fitted: sources left out whole, thresholds that flag what they say."""

import numpy as np
import pytest

from router.training.suspicion_heads import (
    FOLDS,
    HAND,
    PER_SOURCE,
    calibrate,
    dealt_of,
    fit_context,
    folds_of,
    read_all,
    thin,
    thresholds,
)
from router.training.suspicion_texts import BENIGN, Sample


def samples(source: str, count: int) -> list[Sample]:
    return [Sample(source, f"{source} question number {at}?", BENIGN) for at in range(count)]


def test_whole_sources_are_left_out_and_hand_written_ones_never() -> None:
    read = read_all([*samples("a", 3), *samples("b", 3), *samples("c", 3), *samples(HAND, 2)])
    folds = folds_of(read)
    assert set(folds[:9]) == set(range(FOLDS))
    assert all(len(set(folds[at : at + 3])) == 1 for at in (0, 3, 6))
    assert list(folds[9:]) == [-1, -1]


def test_no_source_teaches_more_than_its_share() -> None:
    read = thin(read_all([*samples("a", PER_SOURCE + 5), *samples("b", 2)]))
    assert sorted({sample.source for sample in read.samples}) == ["a", "b"]
    assert len(read) == PER_SOURCE + 2


def test_copies_that_follow_one_another_are_dealt_together() -> None:
    dealt = dealt_of(read_all(samples("a", 10)))
    assert list(dealt) == sorted(dealt)
    assert set(dealt) == set(range(FOLDS))


def test_a_threshold_flags_the_share_that_it_is_named_by() -> None:
    scores = np.random.default_rng(0).normal(size=20_000)
    found = thresholds(scores)
    for rate, level in found.items():
        assert float((scores > level).mean()) == pytest.approx(float(rate), rel=0.2)
    short = np.concatenate([np.full(19_000, -np.inf), scores[:1_000]])  # most turns are too short to be asked about
    assert np.isfinite(thresholds(short)["0.01"])


def test_calibration_and_context_are_logistic() -> None:
    rng = np.random.default_rng(0)
    slope, intercept = calibrate(rng.normal(2, 1, 2_000), rng.normal(-2, 1, 2_000))
    assert slope == pytest.approx(4.0, rel=0.2)  # of two normal classes, four apart
    assert intercept == pytest.approx(0.0, abs=0.3)
    assert calibrate(np.array([]), np.array([1.0])) == (1.0, 0.0)
    rows = np.column_stack([rng.normal(size=400), np.ones(400)])
    weights = fit_context(rows, (rows[:, 0] > 0).astype(float))
    assert weights.shape == (2,)
    assert weights[0] > 1
