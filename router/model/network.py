"""A small network with one hidden layer of ReLU units: features in, one log-odds a class out.

`fitting` makes it, `artifact` stores it, `gate.Gate` asks it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from router.features.featurize import BUCKETS, Features
from router.features.int4 import Int8s
from router.features.structure import Floats

Doubles = np.ndarray[Any, np.dtype[np.float64]]
Places = np.ndarray[Any, np.dtype[np.int32]]


@dataclass(frozen=True, slots=True)
class Network:
    """One hidden layer.

    Attributes:
        known: buckets of the n-grams it knows, (K,) int32, ascending.
        hashed: what each adds to the H units, (K + 1, H) int8; the first row, zeros, is for all others. -7..7 in
            trained units, -112..112 in those that `router.training.grow` adds.
        scale: what 1 in `hashed` is worth, (H,) float32.
        dense: what structure and meaning add, (D, H) float32.
        bias: of the units, (H,) float32.
        out: from the units to the classes, (H, C) float32.
        out_bias: (C,) float32.
        places: row of `hashed` by bucket, (BUCKETS,) int32; made of `known`.
    """

    known: Places
    hashed: Int8s
    scale: Floats
    dense: Floats
    bias: Floats
    out: Floats
    out_bias: Floats
    places: Places

    @classmethod
    def of(
        cls,
        known: Places,
        hashed: Int8s,
        scale: Floats,
        dense: Floats,
        bias: Floats,
        out: Floats,
        out_bias: Floats,
    ) -> "Network":
        """Put one together."""
        places = np.zeros(BUCKETS, dtype=np.int32)
        places[known] = np.arange(1, len(known) + 1)
        return cls(known, hashed, scale, dense, bias, out, out_bias, places)

    def logits(self, features: Features) -> Floats:
        """Answer for one query, (C,)."""
        return np.asarray(np.maximum(self._units(features), 0.0) @ self.out + self.out_bias)

    def logits_of(self, matrix: Any) -> Doubles:  # noqa: ANN401 - scipy ships no types
        """Answer for the rows of a matrix as `heads.design_matrix` makes it, (n, C)."""
        units = matrix[:, self.known] @ (self.hashed[1:] * self.scale) + matrix[:, BUCKETS:] @ self.dense + self.bias
        return np.asarray(np.maximum(units, 0.0) @ self.out + self.out_bias, dtype=np.float64)

    def weights_at(self, features: Features) -> tuple[Floats, Floats]:
        """Weigh a query's features: its n-grams (n, C), structure and meaning (D, C).

        Around one query rectified units are linear: with these weights and some constant the answer is the same.
        """
        through = self.through(features)
        return self._rows(features) @ (self.scale[:, None] * through), self.dense @ through

    def through(self, features: Features) -> Floats:
        """What each unit passes on for one query, (H, C): its weights out, or nothing where it is at rest."""
        return np.asarray(self.out * (self._units(features) > 0.0)[:, None])

    def _units(self, features: Features) -> Floats:
        """Add up what reaches the units, (H,)."""
        hashed = (features.values @ self._rows(features)) * self.scale
        return np.asarray(hashed + features.dense @ self.dense + self.bias)

    def _rows(self, features: Features) -> Floats:
        """Look a query's n-grams up, (n, H), in steps of `scale`."""
        return self.hashed.take(self.places.take(features.indices), axis=0).astype(np.float32)
