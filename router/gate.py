"""The gate: calibrated probabilities of each expert for one query, by a linear model in numpy.

`router.Router` owns one, built from an `Artifact`. The tool-caller's probability comes from structure alone: offered
tools make it the first candidate whatever the words are, and without tools it is never one.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from router.artifact import Artifact
from router.features import Features, RouteQuery, featurize

TOOL_CALLER = "tool-caller"

Doubles = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, slots=True)
class Gate:
    """One-vs-rest linear heads with a sigmoid each.

    Attributes:
        artifact: the weights; `artifact.classes` names the heads, the tool-caller not among them.
    """

    artifact: Artifact

    @property
    def experts(self) -> tuple[str, ...]:
        """Name the experts in the order of `probabilities`."""
        return (*self.artifact.classes, TOOL_CALLER)

    def probabilities(self, query: RouteQuery) -> Doubles:
        """Return (E,) calibrated probabilities in [0, 1], each on its own: they need not sum to 1."""
        heads = sigmoid(self.logits(featurize(query)))
        if not query.has_tools:
            return np.append(heads, 0.0)
        fit = self.artifact.tool_probability
        return np.append(np.minimum(heads, 1.0 - fit), fit)

    def by_expert(self, query: RouteQuery) -> dict[str, float]:
        """Return the same by name."""
        return dict(zip(self.experts, self.probabilities(query).tolist(), strict=True))

    def logits(self, features: Features) -> Doubles:
        """Return the calibrated log-odds of each text head, (C,)."""
        part = self.artifact
        raw = features.values @ part.hashed[features.indices] + features.dense @ part.dense + part.bias
        return np.asarray(raw * part.slope + part.intercept, dtype=np.float64)


def sigmoid(logits: Doubles) -> Doubles:
    """Map log-odds to probabilities without overflow."""
    return 1.0 / (1.0 + np.exp(-np.clip(logits, -30.0, 30.0)))
