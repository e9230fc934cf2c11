"""Fits the linear heads with scikit-learn: features in, weights out.

`train` and `follow_up_head` call this. Serving never does, so scikit-learn and scipy are imported inside.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from router.features.featurize import BUCKETS, DENSE_NAMES, Features, Leans, featurize
from router.model.gate import sigmoid
from router.training.dataset import Row

TOLERANCE = 0.1  # the dual solver is then within 0.01 of the exact logits, in a tenth of the time

Doubles = np.ndarray[Any, np.dtype[np.float64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True, slots=True)
class Head:
    """One logistic head: hashed (BUCKETS,), dense (D,), bias."""

    hashed: Doubles
    dense: Doubles
    bias: float

    @staticmethod
    def never() -> "Head":
        """Make a head that always says no."""
        return Head(np.zeros(BUCKETS), np.zeros(len(DENSE_NAMES)), -20.0)

    def leaning(self, features: Features) -> float:
        """Answer with a probability."""
        return float(sigmoid(np.array(self.logit(features))))

    def logits(self, matrix: Any) -> Doubles:  # noqa: ANN401 - scipy ships no types
        """Answer for the rows of a matrix as `design_matrix` makes it, (n,)."""
        stacked = np.concatenate([self.hashed, self.dense])
        return np.asarray(matrix @ stacked + self.bias, dtype=np.float64)

    def logit(self, features: Features) -> float:
        """Answer for one query; `dense` is structure alone here."""
        return float(features.values @ self.hashed[features.indices] + features.dense @ self.dense + self.bias)


def design_matrix(features: Sequence[Features], extra: Sequence[Any] = ()) -> Any:  # noqa: ANN401 - scipy ships no types
    """Lay features out as one sparse matrix (n, BUCKETS + S), and as many columns more as `extra`'s rows hold."""
    from scipy import sparse  # noqa: PLC0415 - training only

    sizes = [one.indices.size for one in features]
    indptr = np.concatenate([[0], np.cumsum(sizes)])
    indices = np.concatenate([one.indices for one in features])
    values = np.concatenate([one.values for one in features])
    hashed = sparse.csr_matrix((values, indices, indptr), shape=(len(features), BUCKETS), dtype=np.float64)
    hashed.sum_duplicates()
    numbers = np.vstack([one.dense for one in features]).astype(np.float64)
    if len(extra):
        numbers = np.hstack([numbers, np.vstack(extra)])
    dense = sparse.csr_matrix(numbers)
    return sparse.hstack([hashed, dense], format="csr")


def fit_head(matrix: Any, target: Bools, sample_weights: Doubles, strength: float, seed: int) -> Head:  # noqa: ANN401
    """Fit one head; one whose target never changes answers that, without words."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - training only

    if target.all() or not target.any():
        return Head(np.zeros(BUCKETS), np.zeros(matrix.shape[1] - BUCKETS), 4.0 if target.all() else -4.0)
    model = LogisticRegression(
        C=strength, solver="liblinear", dual=True, tol=TOLERANCE, random_state=seed, max_iter=500
    )
    model.fit(matrix, target, sample_weight=sample_weights)
    weight = model.coef_[0]
    return Head(weight[:BUCKETS], weight[BUCKETS:], float(model.intercept_[0]))


def featurize_all(rows: Sequence[Row], leans: Leans | None = None) -> list[Features]:
    """Compute the features of many rows."""
    return [featurize(row.query, leans) for row in rows]
