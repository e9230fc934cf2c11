"""Held-out logits: the output of networks on sources that they were not trained on.

`train` and `calibrate` use it. The router's headline figure comes from `leave_one_source_out`; a random split would
measure how well a source's style was learned.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from router.model.network import Doubles, Network
from router.training.dataset import Row

Step = Callable[[str], None]
Fit = Callable[[Any, Sequence[Row]], Network]  # a matrix and its rows


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Logits of rows by networks that did not see them.

    Attributes:
        logits: raw log-odds (n, C).
        right: `right[i, c]`: class c is an acceptable answer to row i, (n, C) bool.
        sources: (n,) source names.
    """

    logits: Doubles
    right: np.ndarray[Any, np.dtype[np.bool_]]
    sources: np.ndarray[Any, np.dtype[np.str_]]

    def accuracy_by_source(self) -> dict[str, float]:
        """Score the best class's answer, by source."""
        hit = self.right[np.arange(len(self.right)), self.logits.argmax(axis=1)]
        return {str(source): float(hit[self.sources == source].mean()) for source in np.unique(self.sources)}

    def macro_accuracy(self) -> float:
        """Average over sources."""
        return float(np.mean(list(self.accuracy_by_source().values())))


def leave_one_source_out(
    matrix: Any,  # noqa: ANN401 - scipy ships no types
    rows: Sequence[Row],
    classes: Sequence[str],
    whole: Network,
    fit: Fit,
    step: Step = lambda source: None,
) -> HeldOut:
    """Hold each source out whole; seeds stay in training and are never held out.

    Beside seeds no source is learned from at all (`dataset.taught`): then `whole`, fitted on all that teaches, has seen
    none, and `fit` is not called.
    """
    is_seed = np.array([row.is_seed for row in rows])
    if is_seed.any():
        return _score(whole, matrix, rows, classes, ~is_seed)
    sources = np.array([row.source for row in rows])
    parts = []
    for source in sorted(set(sources.tolist())):
        step(f"without {source}")
        out = sources == source
        network = fit(matrix[~out], [row for row, is_out in zip(rows, out, strict=True) if not is_out])
        parts.append(_score(network, matrix, rows, classes, out))
    return _join(parts)


def truth(rows: Sequence[Row], classes: Sequence[str]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Say which classes are acceptable, (n, C)."""
    return np.array([[name in row.labels for name in classes] for row in rows], dtype=np.bool_)


def _score(
    network: Network,
    matrix: Any,  # noqa: ANN401
    rows: Sequence[Row],
    classes: Sequence[str],
    out: np.ndarray[Any, np.dtype[np.bool_]],
) -> HeldOut:
    """Score the rows in `out`."""
    tested = [row for row, is_out in zip(rows, out, strict=True) if is_out]
    sources = np.array([row.source for row in tested])
    return HeldOut(network.logits_of(matrix[out]), truth(tested, classes), sources)


def _join(parts: Sequence[HeldOut]) -> HeldOut:
    """Lay folds end to end."""
    return HeldOut(
        np.vstack([part.logits for part in parts]),
        np.vstack([part.right for part in parts]),
        np.concatenate([part.sources for part in parts]),
    )
