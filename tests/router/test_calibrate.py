from pathlib import Path

import numpy as np

from router.calibrate import main
from router.model.artifact import load
from router.training.calibration import ABSTAIN_SHARE, expected_calibration_error, fit_calibration
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
    confidence = fitted.probabilities(fresh.logits)[:, 0]
    assert expected_calibration_error(confidence, fresh.right[:, 0]) < 0.03
    raw = 1 / (1 + np.exp(-fresh.logits[:, 0]))
    assert expected_calibration_error(raw, fresh.right[:, 0]) > 0.1


def test_ece_by_hand() -> None:
    confidence = np.array([0.9, 0.9, 0.1, 0.1])
    assert np.isclose(expected_calibration_error(confidence, np.array([True, True, False, False])), 0.1)
    assert expected_calibration_error(np.array([]), np.array([], dtype=bool)) == 0.0


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
    below = fitted.probabilities(held.logits.max(axis=1)) < fitted.abstain_below
    assert 0.0 < below.mean() < 2 * ABSTAIN_SHARE
