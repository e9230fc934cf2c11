import numpy as np
import pytest

from router.errors import CalibrationError
from router.training.abstention import clopper_pearson_upper, control_risk


def test_the_bound_by_hand() -> None:
    assert clopper_pearson_upper(0, 10, 0.05) == pytest.approx(1 - 0.05 ** (1 / 10))  # (1 - p)^10 = .05
    assert clopper_pearson_upper(10, 10, 0.05) == 1.0
    assert clopper_pearson_upper(3, 100, 0.05) > 0.03


def draw(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    generator = np.random.default_rng(seed)
    confidence = generator.uniform(0.3, 1.0, count)
    return confidence, generator.random(count) < confidence


def test_the_promise_is_kept_about_as_often_as_it_says() -> None:
    """The true risk above t of this draw is 1 - mean confidence = (1 - t) / 2."""
    broken = 0
    for seed in range(200):
        confidence, hit = draw(seed, 2_000)
        found = control_risk(confidence, hit, alpha=0.15, delta=0.1)
        assert found.bound <= 0.15 and found.risk <= found.bound
        broken += (1 - found.abstain_below) / 2 > 0.15
    assert broken <= 30  # 10 % of 200, with room for the draw


def test_more_risk_answers_more() -> None:
    confidence, hit = draw(1, 4_000)
    strict, loose = (control_risk(confidence, hit, alpha, 0.05) for alpha in (0.1, 0.25))
    assert strict.coverage < loose.coverage and strict.abstain_below > loose.abstain_below
    assert control_risk(confidence, np.ones(4_000, dtype=np.bool_), 0.1, 0.05).coverage == 1.0


def test_what_cannot_be_promised_is_refused() -> None:
    confidence, _ = draw(2, 500)
    with pytest.raises(CalibrationError, match="risk"):
        control_risk(confidence, np.zeros(500, dtype=np.bool_), 0.1, 0.05)
