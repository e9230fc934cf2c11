"""The threshold for abstention at a given risk: selective risk control by exact binomial bounds.

`router.calibrate --alpha A --delta D` uses it on held-out rows. Over the draw of those rows, the threshold lets more
than the share A of answered requests go wrong with a probability of at most D (Clopper and Pearson 1934; tested in a
fixed sequence of coverages, as in Angelopoulos et al. 2021, "Learn then Test"). It holds for requests like the rows.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from router.errors import CalibrationError
from router.training.heads import Doubles

STEPS = 20  # coverages tried: 5 %, 10 %, ... 100 % of the rows, the surest first

Bools = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True, slots=True)
class RiskControl:
    """A threshold and what it promises.

    Attributes:
        abstain_below: the threshold.
        coverage: share of the rows that are answered.
        risk: share of the answered rows that went wrong.
        bound: the upper confidence bound of that share.
    """

    abstain_below: float
    coverage: float
    risk: float
    bound: float


def clopper_pearson_upper(wrong: int, total: int, delta: float) -> float:
    """Return the exact upper bound, at confidence 1 - delta, of a share seen as `wrong` of `total`."""
    from scipy.stats import beta  # noqa: PLC0415 - training only

    return 1.0 if wrong >= total else float(beta.ppf(1.0 - delta, wrong + 1, total - wrong))


def control_risk(confidence: Doubles, hit: Bools, alpha: float, delta: float) -> RiskControl:
    """Find the lowest threshold whose risk is shown to be at most `alpha`.

    The sequence is fixed before any outcome is seen and stops at the first failure, so that no correction for
    trying many thresholds is due.

    Args:
        confidence: the best expert's calibrated probability, (n,).
        hit: whether it was right, (n,).
        alpha: share of answered requests that may go wrong.
        delta: probability with which the promise may fail.

    Raises:
        CalibrationError: not even the surest rows show such a risk.
    """
    order = np.argsort(-confidence, kind="stable")
    wrong = np.cumsum(~hit[order])
    found = None
    for step in range(1, STEPS + 1):
        threshold = float(confidence[order[max(0, step * len(order) // STEPS - 1)]])
        answered = int((confidence >= threshold).sum())
        bound = clopper_pearson_upper(int(wrong[answered - 1]), answered, delta)
        if bound > alpha:
            break
        found = RiskControl(threshold, answered / len(order), float(wrong[answered - 1]) / answered, bound)
    if found is None:
        raise CalibrationError(f"no threshold keeps the risk at {alpha:g} with confidence {1 - delta:g} on these rows")
    return found
