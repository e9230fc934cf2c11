"""Calibration on held-out sources: how the logits are stretched, and below which probability the router abstains."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from router.model.gate import sigmoid
from router.training.crossval import HeldOut
from router.training.dataset import source_weights
from router.training.heads import Doubles

ECE_BINS = 15


ABSTAIN_SHARE = 0.002


Bools = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True, slots=True)
class Calibration:
    """One slope and one intercept for all heads (so the order of experts never changes), and the threshold."""

    slope: float
    intercept: float
    abstain_below: float

    def probabilities(self, logits: Doubles) -> Doubles:
        """Map raw logits to calibrated probabilities."""
        return sigmoid(logits * self.slope + self.intercept)


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
    """Fit the best class's logit to "it was right", every source weighing the same, then the threshold.

    Platt scaling (Platt 1999) on the one number that decides and is reported.
    """
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - training only

    top, hit = _top(held)
    weight = source_weights(held.sources)
    if hit.all() or not hit.any():
        return Calibration(1.0, 0.0, 0.0)
    model = LogisticRegression(C=10.0).fit(top[:, None], hit, sample_weight=weight)
    slope, intercept = max(float(model.coef_[0, 0]), 0.05), float(model.intercept_[0])
    probabilities = sigmoid(top * slope + intercept)
    return Calibration(slope, intercept, _threshold(probabilities, weight))


def crossfit(held: HeldOut, default_index: int) -> CrossFit:
    """Decide each source with the calibration and threshold fitted on all other sources; sources weigh the same."""
    top, hit = _top(held)
    confidence, answered = np.zeros(len(hit)), np.ones(len(hit), dtype=np.bool_)
    for source in np.unique(held.sources):
        out = held.sources == source
        if not (~out).any():
            continue
        fitted = fit_calibration(HeldOut(held.logits[~out], held.right[~out], held.sources[~out]))
        confidence[out] = fitted.probabilities(top[out])
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


def _top(held: HeldOut) -> tuple[Doubles, Bools]:
    """Pick the best class's logit and whether it was right."""
    best = held.logits.argmax(axis=1)
    at = np.arange(len(best))
    return held.logits[at, best], held.right[at, best]


def _threshold(probability: Doubles, weight: Doubles) -> float:
    """Find the confidence that only `ABSTAIN_SHARE` of held-out requests fall short of.

    A threshold tuned for accuracy did not carry over to other sources (measured: CARD.md), so it only catches the odd.
    """
    order = np.argsort(probability)
    mass = np.cumsum(weight[order]) / weight.sum()
    return round(float(probability[order[int(np.searchsorted(mass, ABSTAIN_SHARE))]]), 3)
