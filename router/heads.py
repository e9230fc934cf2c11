"""Fitting of the linear heads with scikit-learn: features in, weights out.

`train` and `evaluate`'s baselines call this; serving never does, so scikit-learn and scipy are imported inside.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from router.dataset import Row, weights
from router.features import BUCKETS, STRUCTURE_NAMES, Features, featurize

DENSE_SCALE = 0.5  # structure beside n-grams whose families each have length 1

Doubles = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, slots=True)
class Heads:
    """Raw one-vs-rest weights: hashed (BUCKETS, C), dense (S, C), bias (C,)."""

    classes: tuple[str, ...]
    hashed: Doubles
    dense: Doubles
    bias: Doubles

    def logits(self, matrix: Any) -> Doubles:  # noqa: ANN401 - scipy ships no types
        """Return raw log-odds (n, C) for a matrix as `design_matrix` makes it."""
        stacked = np.vstack([self.hashed, self.dense / DENSE_SCALE])
        return np.asarray(matrix @ stacked + self.bias, dtype=np.float64)


def design_matrix(features: Sequence[Features]) -> Any:  # noqa: ANN401 - scipy ships no types
    """Lay features out as one sparse matrix (n, BUCKETS + S)."""
    from scipy import sparse  # noqa: PLC0415 - training only

    sizes = [one.indices.size for one in features]
    indptr = np.concatenate([[0], np.cumsum(sizes)])
    indices = np.concatenate([one.indices for one in features])
    values = np.concatenate([one.values for one in features])
    hashed = sparse.csr_matrix((values, indices, indptr), shape=(len(features), BUCKETS), dtype=np.float64)
    hashed.sum_duplicates()
    dense = sparse.csr_matrix(np.vstack([one.dense for one in features]).astype(np.float64) * DENSE_SCALE)
    return sparse.hstack([hashed, dense], format="csr")


def fit_heads(matrix: Any, rows: Sequence[Row], classes: Sequence[str], strength: float, seed: int) -> Heads:  # noqa: ANN401
    """Fit one logistic head a class; `strength` is scikit-learn's C.

    A head whose class is absent (or alone) answers its share of the rows, without words.
    """
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - training only

    sample_weights = weights(rows)
    columns = []
    biases = []
    for name in classes:
        target = np.array([name in row.labels for row in rows])
        if target.all() or not target.any():
            columns.append(np.zeros(matrix.shape[1]))
            biases.append(4.0 if target.all() else -4.0)
            continue
        model = LogisticRegression(C=strength, solver="liblinear", random_state=seed, max_iter=200)
        model.fit(matrix, target, sample_weight=sample_weights)
        columns.append(model.coef_[0])
        biases.append(float(model.intercept_[0]))
    stacked = np.stack(columns, axis=1)
    split = stacked.shape[0] - len(STRUCTURE_NAMES)
    return Heads(tuple(classes), stacked[:split], stacked[split:] * DENSE_SCALE, np.array(biases))


def featurize_all(rows: Sequence[Row]) -> list[Features]:
    """Compute the features of many rows."""
    return [featurize(row.query) for row in rows]
