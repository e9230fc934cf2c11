"""Fits the network with scikit-learn: rows in, weights out.

`train` calls this. Serving never does, so scikit-learn is imported inside. Networks that differ only in their random
initialisation are put side by side and their outputs averaged: together they are one network with a wider layer.
"""

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from router.features.featurize import BUCKETS
from router.features.int4 import LEVELS, Int8s
from router.features.structure import Floats
from router.model.network import Network
from router.training.crossval import truth
from router.training.dataset import Row, weights

COPIES = 4  # networks side by side
UNITS = 8  # of each
EPOCHS, LEAST_STEPS, BATCH = 3, 200, 128
RATE = 3e-3
LEAST_ROWS = 3  # an n-gram that fewer rows hold, copies typed in haste among them, is left out
WIDEST = 0.9995  # share of a unit's weights that fit the four bits; the others are cut to the largest


def fit_network(
    matrix: Any,  # noqa: ANN401 - scipy ships no types
    rows: Sequence[Row],
    classes: Sequence[str],
    seed: int,
    copies: int = COPIES,
) -> Network:
    """Fit `copies` networks on rows of a matrix as `heads.design_matrix` makes it, and lay them side by side.

    One thread: another number of them would give other weights.
    """
    from threadpoolctl import threadpool_limits  # noqa: PLC0415 - training only

    known = np.flatnonzero(matrix[:, :BUCKETS].getnnz(axis=0) >= LEAST_ROWS).astype(np.int32)
    inputs = matrix[:, np.concatenate([known, np.arange(BUCKETS, matrix.shape[1])])].astype(np.float32)
    with threadpool_limits(1):
        fitted = [_fit(inputs, rows, classes, seed * COPIES + at) for at in range(copies)]
    first = np.concatenate([one.coefs_[0] for one in fitted], axis=1)
    hashed, scale = rounded(first[: len(known)])
    out = np.concatenate([one.coefs_[1] for one in fitted])[:, : len(classes)] / copies
    return Network.of(
        known=known,
        hashed=np.concatenate([np.zeros((1, hashed.shape[1]), dtype=np.int8), hashed]),
        scale=scale,
        dense=first[len(known) :].astype(np.float32),
        bias=np.concatenate([one.intercepts_[0] for one in fitted]).astype(np.float32),
        out=out.astype(np.float32),
        out_bias=np.mean([one.intercepts_[1][: len(classes)] for one in fitted], axis=0).astype(np.float32),
    )


def _fit(inputs: Any, rows: Sequence[Row], classes: Sequence[str], seed: int) -> Any:  # noqa: ANN401 - scikit-learn's
    """Fit one network; a class without rows is simply never likely."""
    from sklearn.exceptions import ConvergenceWarning  # noqa: PLC0415 - training only
    from sklearn.neural_network import MLPClassifier  # noqa: PLC0415

    target = truth(rows, [*classes, ""])  # of a single class it would make something else than a network with sigmoids
    epochs = max(EPOCHS, math.ceil(LEAST_STEPS * BATCH / len(rows)))
    model = MLPClassifier(
        (UNITS,),
        batch_size=min(BATCH, len(rows)),
        learning_rate_init=RATE,
        max_iter=epochs,
        n_iter_no_change=epochs,
        random_state=seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is stopped early on purpose
        return model.fit(inputs, target, sample_weight=weights(rows))


def rounded(weights_in: Floats, widest: float = WIDEST) -> tuple[Int8s, Floats]:
    """Round to -7..7 with one scale a unit; the share `widest` of a unit's weights fits, the others are cut."""
    if not len(weights_in):
        return weights_in.astype(np.int8), np.ones(weights_in.shape[1], dtype=np.float32)
    scale = np.maximum(np.quantile(np.abs(weights_in), widest, axis=0), 1e-9) / LEVELS
    return np.clip(np.rint(weights_in / scale), -LEVELS, LEVELS).astype(np.int8), np.asarray(scale, dtype=np.float32)
