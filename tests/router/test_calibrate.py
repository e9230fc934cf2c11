from pathlib import Path

import numpy as np

from router.calibrate import main
from router.model.artifact import load
from router.training.calibration import (
    ABSTAIN_SHARE,
    Calibration,
    ece_by_chance,
    expected_calibration_error,
    fit_calibration,
)
from router.training.crossval import HeldOut
from router.training.dataset import source_weights


def overconfident(seed: int, count: int = 4_000) -> HeldOut:
    """Logits three times too large: the first head is right as often as a third of its logit says."""
    generator = np.random.default_rng(seed)
    true_logit = generator.uniform(0, 3, count)
    hit = generator.random(count) < 1 / (1 + np.exp(-true_logit))
    logits = np.stack([3 * true_logit, np.full(count, -9.0)], axis=1)
    return HeldOut(logits, np.stack([hit, ~hit], axis=1), np.array(["a", "b"] * (count // 2)))


def test_calibration_recovers_the_slope() -> None:
    fitted = fit_calibration(overconfident(1))
    assert 0.28 < fitted.slope < 0.39
    fresh = overconfident(2)
    confidence = fitted.best(fresh.logits)
    assert expected_calibration_error(confidence, fresh.right[:, 0]) < 0.03
    raw = 1 / (1 + np.exp(-fresh.logits[:, 0]))
    assert expected_calibration_error(raw, fresh.right[:, 0]) > 0.1


def test_ece_by_hand() -> None:
    confidence = np.array([0.9, 0.9, 0.1, 0.1])
    assert np.isclose(expected_calibration_error(confidence, np.array([True, True, False, False])), 0.1)
    assert expected_calibration_error(np.array([]), np.array([], dtype=bool)) == 0.0


def test_few_rows_show_an_error_by_chance_that_many_do_not() -> None:
    few, many = (ece_by_chance(np.random.default_rng(3).uniform(0.5, 1.0, count)) for count in (60, 20_000))
    assert few > 0.07
    assert many < 0.02
    assert ece_by_chance(np.ones(50)) == 0.0


def test_sources_weigh_the_same() -> None:
    found = source_weights(["a"] * 9 + ["b"])
    assert np.isclose(found[:9].sum(), found[9])


def test_the_command_writes_another_calibration(artifact_file: Path, data_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "again.npz"
    assert main(["--data", str(data_file), "--artifact", str(artifact_file), "--out", str(out)]) == 0
    before, after = load(artifact_file), load(out)
    assert np.array_equal(before.network.hashed, after.network.hashed)
    assert after.version != before.version


def test_few_requests_abstain() -> None:
    held = overconfident(4)
    fitted = fit_calibration(held)
    below = fitted.best(held.logits) < fitted.abstain_below
    assert 0.0 < below.mean() < 2 * ABSTAIN_SHARE


def test_a_strong_rival_makes_a_decision_less_sure() -> None:
    """Of requests with the same best log-odds those with a rival near it are wrong more often."""
    generator = np.random.default_rng(6)
    best, gap = generator.uniform(0, 3, 4_000), generator.uniform(0, 6, 4_000)
    hit = generator.random(4_000) < 1 / (1 + np.exp(-gap))
    logits = np.stack([best, best - gap, np.full(4_000, -7.0)], axis=1)
    right = np.stack([hit, ~hit, ~hit], axis=1)
    fitted = fit_calibration(HeldOut(logits, right, np.array(["a", "b"] * 2_000)))
    assert fitted.rival < -0.5
    near, far = fitted.best(np.array([[2.0, 1.5, -7.0], [2.0, -4.0, -7.0]]))
    assert near < 0.7
    assert far > 0.9
    assert expected_calibration_error(fitted.best(logits), hit) < 0.03


def test_rivals_never_change_the_order_of_experts() -> None:
    raw = np.random.default_rng(7).normal(0, 4, (500, 4))
    scaled = Calibration(0.3, 0.1, 0.0, rival=-0.4).logits(raw)
    assert np.array_equal(np.argsort(raw, axis=1), np.argsort(scaled, axis=1))
