"""Fits the network: rows in, weights out.

`train` calls this. Several networks that differ only in their random initialisation are fitted beside each other on the
same batches, and their outputs averaged: together they are one network with a wider layer. A batch moves only the
n-grams that it holds, by RMSProp (Tieleman and Hinton 2012); what every row has, structure and meaning, and the layer
behind them, moves by Adam (Kingma and Ba 2015). That takes an eighth of the time of moving all n-grams each time.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
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
STEADY = 0.5  # share of the steps that are taken at `RATE`; over the others it falls evenly to nothing
KEPT, KEPT_SQUARE, LITTLE = 0.9, 0.999, 1e-8  # Adam's beta 1, beta 2 and epsilon
DROPPED = 0.2  # share of a row's n-grams that a step does not see
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
    ngrams = matrix[:, known].astype(np.float32).tocsr()
    dense = matrix[:, BUCKETS:].toarray().astype(np.float32)
    target, weight = truth(rows, classes).astype(np.float32), weights(rows).astype(np.float32)
    fit = _Fit.begin((ngrams.shape[1], dense.shape[1], len(classes)), copies, seed)
    steps = math.ceil(len(rows) / BATCH)
    draw = np.random.default_rng(seed)
    with threadpool_limits(1):
        epochs = max(EPOCHS, math.ceil(LEAST_STEPS / steps))
        for _ in range(epochs):
            order = draw.permutation(len(rows))
            for batch in np.array_split(order, steps):
                rate = rate_at(fit.steps / (epochs * steps))
                fit.step(_thinned(ngrams[batch], draw), dense[batch], target[batch], weight[batch], rate)
    hashed, scale = rounded(fit.hashed)
    return Network.of(
        known=known,
        hashed=np.concatenate([np.zeros((1, hashed.shape[1]), dtype=np.int8), hashed]),
        scale=scale,
        dense=fit.dense.value,
        bias=fit.bias.value,
        out=(fit.out.value.reshape(-1, len(classes)) / copies).astype(np.float32),
        out_bias=fit.out_bias.value.mean(axis=0),
    )


def rate_at(done: float) -> float:
    """Say how far a step goes when the share `done` of them is behind: full, then less and less.

    So the last batches do not decide where the weights come to rest.
    """
    return RATE * min(1.0, (1.0 - done) / (1.0 - STEADY))


def _thinned(ngrams: Any, draw: np.random.Generator) -> Any:  # noqa: ANN401 - scipy ships no types
    """Leave some n-grams of a batch out, so that no decision hangs on a few of them."""
    if DROPPED:
        ngrams.data *= (draw.random(len(ngrams.data)) >= DROPPED) / np.float32(1.0 - DROPPED)
    return ngrams


@dataclass(slots=True)
class _Adam:
    """Weights that every row moves."""

    value: Floats
    mean: Floats = field(init=False)
    square: Floats = field(init=False)

    def __post_init__(self) -> None:
        self.mean, self.square = np.zeros_like(self.value), np.zeros_like(self.value)

    def move(self, slope: Floats, step: int, rate: float) -> None:
        """Take step number `step`, from 1."""
        self.mean += (1.0 - KEPT) * (slope - self.mean)
        self.square += (1.0 - KEPT_SQUARE) * (slope * slope - self.square)
        rate *= math.sqrt(1.0 - KEPT_SQUARE**step) / (1.0 - KEPT**step)
        self.value -= rate * self.mean / (np.sqrt(self.square) + LITTLE)


@dataclass(slots=True)
class _Fit:
    """The networks while they are fitted; copies times units = H.

    Attributes:
        hashed: (K, H), of the n-grams.
        square: running mean of its squared slopes, (K, H), as of the last step that held the n-gram.
        dense: (D, H).
        bias: (H,).
        out: (copies, units, C).
        out_bias: (copies, C).
        steps: taken.
    """

    hashed: Floats
    square: Floats
    dense: _Adam
    bias: _Adam
    out: _Adam
    out_bias: _Adam
    steps: int = 0

    @classmethod
    def begin(cls, sizes: tuple[int, int, int], copies: int, seed: int) -> "_Fit":
        """Draw first weights (Glorot and Bengio 2010) of networks with `sizes` n-grams, dense features and classes."""
        ngrams, dense, classes = sizes
        into, out = math.sqrt(6.0 / (ngrams + dense + UNITS)), math.sqrt(2.0 / (UNITS + classes))
        draws = [np.random.default_rng((seed, copy)) for copy in range(copies)]

        def drawn(bound: float, *shape: int) -> list[Floats]:
            return [draw.uniform(-bound, bound, shape).astype(np.float32) for draw in draws]

        hashed = np.concatenate(drawn(into, ngrams, UNITS), axis=1)
        return cls(
            hashed,
            np.zeros_like(hashed),
            _Adam(np.concatenate(drawn(into, dense, UNITS), axis=1)),
            _Adam(np.concatenate(drawn(into, UNITS))),
            _Adam(np.stack(drawn(out, UNITS, classes))),
            _Adam(np.stack(drawn(out, classes))),
        )

    def step(self, ngrams: Any, dense: Floats, target: Floats, weight: Floats, rate: float) -> None:  # noqa: ANN401
        """Descend the log loss of a batch: n-grams (B, K) sparse, dense (B, D), targets (B, C), weights (B,)."""
        self.steps += 1
        held, places = np.unique(ngrams.indices, return_inverse=True)
        ngrams = type(ngrams)((ngrams.data, places, ngrams.indptr), shape=(len(target), len(held)))
        copies, units, _ = self.out.value.shape
        mine = self.hashed[held]
        into = ngrams @ mine + dense @ self.dense.value + self.bias.value
        hidden = np.maximum(into, 0.0).reshape(-1, copies, units).transpose(1, 0, 2)
        logits = hidden @ self.out.value + self.out_bias.value[:, None]
        error = (1.0 / (1.0 + np.exp(-logits)) - target) * (weight / len(target))[:, None]
        back = (error @ self.out.value.transpose(0, 2, 1)).transpose(1, 0, 2).reshape(into.shape) * (into > 0.0)
        self.out.move(hidden.transpose(0, 2, 1) @ error, self.steps, rate)
        self.out_bias.move(error.sum(axis=1), self.steps, rate)
        self.bias.move(back.sum(axis=0), self.steps, rate)
        self.dense.move(dense.T @ back, self.steps, rate)
        slope = np.asarray(ngrams.T @ back)
        square = KEPT_SQUARE * self.square[held] + (1.0 - KEPT_SQUARE) * slope * slope
        self.square[held] = square
        rate *= math.sqrt(1.0 - KEPT_SQUARE**self.steps)
        self.hashed[held] = mine - rate * slope / (np.sqrt(square) + LITTLE)


def rounded(weights_in: Floats, widest: float = WIDEST) -> tuple[Int8s, Floats]:
    """Round to -7..7 with one scale a unit; the share `widest` of a unit's weights fits, the others are cut."""
    if not len(weights_in):
        return weights_in.astype(np.int8), np.ones(weights_in.shape[1], dtype=np.float32)
    scale = np.maximum(np.quantile(np.abs(weights_in), widest, axis=0), 1e-9) / LEVELS
    return np.clip(np.rint(weights_in / scale), -LEVELS, LEVELS).astype(np.int8), np.asarray(scale, dtype=np.float32)
