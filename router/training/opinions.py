"""What the network says of words that it did not learn from, although it learned from all seeds: networks in folds.

`train` asks for the heads beside the network, which must not learn from a surer network than they will meet.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from router.features.featurize import Features
from router.model.network import Network
from router.training.calibration import Calibration
from router.training.crossval import Fit
from router.training.dataset import Row
from router.training.heads import Doubles, design_matrix
from router.training.tool_rows import FOLDS


@dataclass(frozen=True, slots=True)
class Opinions:
    """What networks say of words they, and their copies typed in haste, were not trained on."""

    matrix: Any
    rows: Sequence[Row]
    fit: Fit
    calibration: Calibration
    _networks: dict[int, Network] = field(default_factory=dict, repr=False)

    def __call__(self, rows: Sequence[Row], features: Sequence[Features]) -> Doubles:
        """Score `rows` (n, C), in folds; a request that was learned from is scored by a network that did not see it."""
        fold_of = {row.query.turns: at % FOLDS for at, row in enumerate(self.rows)}
        folds = np.array(list(fold_of.values()))
        mine = np.array([fold_of[row.query.turns] for row in self.rows])
        asked = np.array([fold_of.get(row.query.turns, at % FOLDS) for at, row in enumerate(rows)])
        matrix = design_matrix(features)
        said = []
        for at in np.unique(folds).tolist():
            said += [(asked == at, self._without(at, mine).logits_of(matrix[asked == at]))]
        found = np.zeros((len(rows), said[0][1].shape[1]))
        for among, logits in said:
            found[among] = logits
        return found

    def _without(self, at: int, mine: np.ndarray[Any, np.dtype[np.int64]]) -> Network:
        """Fit the network that did not see fold `at`, once."""
        if at not in self._networks:
            kept = [row for row, fold in zip(self.rows, mine, strict=True) if fold != at]
            self._networks[at] = self.fit(self.matrix[mine != at], kept)
        return self._networks[at]
