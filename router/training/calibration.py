"""Calibration on held-out sources: how the logits are stretched, and below which probability the router abstains."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from router.model.gate import rivals, sigmoid
from router.training.crossval import HeldOut
from router.training.dataset import source_weights
from router.training.heads import Doubles

ECE_BINS = 15


ABSTAIN_SHARE = 0.002


Bools = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True, slots=True)
class Calibration:
    """How raw log-odds become probabilities, and the threshold.

    One slope, one intercept and one weight of the strongest rival for all classes: the order of experts never changes.

    Attributes:
        slope: of a class's own log-odds, above 0.
        intercept: added to them.
        abstain_below: the threshold.
        rival: of the highest of the other classes' log-odds, 0 or less.
    """

    slope: float
    intercept: float
    abstain_below: float
    rival: float = 0.0

    def logits(self, raw: Doubles) -> Doubles:
        """Map raw log-odds, (n, C), to calibrated ones."""
        return np.asarray(raw * self.slope + rivals(raw) * self.rival + self.intercept, dtype=np.float64)

    def best(self, raw: Doubles) -> Doubles:
        """Return the best class's probability, (n,)."""
        return sigmoid(self.logits(raw).max(axis=1))


@dataclass(frozen=True, slots=True)
class CrossFit:
    """What calibration is worth on sources it was not fitted on.

    Attributes:
        ece: expected calibration error of the best class.
        macro_accuracy: mean over sources after abstaining rows went to the default expert.
        abstained: share of rows that did, mean over sources.
    """

    ece: float
    macro_accuracy: float
    abstained: float


def fit_calibration(held: HeldOut) -> Calibration:
    """Fit the best class's log-odds and its rival's to "it was right", sources weighing the same, then the threshold.

    Platt scaling (Platt 1999) on the two numbers that say how clear a decision is.
    """
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - training only

    hit = _hit(held)
    weight = source_weights(held.sources)
    if hit.all() or not hit.any():
        return Calibration(1.0, 0.0, 0.0)
    at = np.arange(len(hit)), held.logits.argmax(axis=1)
    model = LogisticRegression(C=10.0)
    model.fit(np.stack([held.logits[at], rivals(held.logits)[at]], axis=1), hit, sample_weight=weight)
    slope, rival = max(float(model.coef_[0, 0]), 0.05), min(float(model.coef_[0, 1]), 0.0)
    found = Calibration(slope, float(model.intercept_[0]), 0.0, rival)
    return replace(found, abstain_below=_threshold(found.best(held.logits), weight))


def crossfit(held: HeldOut, default_index: int) -> CrossFit:
    """Decide each source with the calibration and threshold fitted on all other sources; sources weigh the same."""
    hit = _hit(held)
    confidence, answered = np.zeros(len(hit)), np.ones(len(hit), dtype=np.bool_)
    for source in np.unique(held.sources):
        out = held.sources == source
        if not (~out).any():
            continue
        fitted = fit_calibration(HeldOut(held.logits[~out], held.right[~out], held.sources[~out]))
        confidence[out] = fitted.best(held.logits[out])
        answered[out] = confidence[out] >= fitted.abstain_below
    weight = source_weights(held.sources)
    decided = np.where(answered, hit, held.right[:, default_index])
    return CrossFit(
        expected_calibration_error(confidence, hit, weight),
        float(np.average(decided, weights=weight)),
        float(np.average(~answered, weights=weight)),
    )


def expected_calibration_error(confidence: Doubles, hit: Bools, weight: Doubles | None = None) -> float:
    """Average |confidence - accuracy| over `ECE_BINS` equal bins of confidence (Guo et al. 2017), weighted by mass."""
    mass = np.ones(len(hit)) if weight is None else weight
    bins = np.minimum((confidence * ECE_BINS).astype(int), ECE_BINS - 1)
    gaps = [abs(float(np.sum((confidence - hit)[bins == at] * mass[bins == at]))) for at in range(ECE_BINS)]
    return sum(gaps) / float(mass.sum()) if len(hit) else 0.0


def ece_by_chance(confidence: Doubles, draws: int = 200) -> float:
    """Average the calibration error that exactly right confidences show on as many rows: few rows, large error.

    Outcomes are drawn by the confidences themselves, the same draws every time (Bröcker and Smith 2007).
    """
    generator = np.random.default_rng(0)
    drawn = [
        expected_calibration_error(confidence, generator.random(len(confidence)) < confidence) for _ in range(draws)
    ]
    return float(np.mean(drawn))


def _hit(held: HeldOut) -> Bools:
    """Say whether the best class was right."""
    return np.asarray(held.right[np.arange(len(held.right)), held.logits.argmax(axis=1)])


def _threshold(probability: Doubles, weight: Doubles) -> float:
    """Find the confidence that only `ABSTAIN_SHARE` of held-out requests fall short of.

    A threshold tuned for accuracy did not carry over to other sources (measured: CARD.md), so it only catches the odd.
    """
    order = np.argsort(probability)
    mass = np.cumsum(weight[order]) / weight.sum()
    return round(float(probability[order[int(np.searchsorted(mass, ABSTAIN_SHARE))]]), 3)
