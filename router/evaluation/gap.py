"""How much of the gap between a weak and a strong model a score recovers and at what cost: APGR, CPT, intervals.

`outcomes` scores every chooser through here (Ong et al. 2024, "RouteLLM", section 4). The strong model gets the prompts
with the highest scores; cost is the share of calls, or of tokens, that go to it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from router.training.heads import Doubles

DRAWS = 1_000
LEVELS = (0.5, 0.8)


@dataclass(frozen=True, slots=True)
class Recovered:
    """The curve of one score: PGR over cost, both from 0 to 1, (n + 1,) each."""

    cost: Doubles
    pgr: Doubles

    @property
    def apgr(self) -> float:
        """Area under PGR."""
        return float(np.trapezoid(self.pgr, self.cost))

    def cpt(self, level: float) -> float:
        """Return the smallest cost at which this share of the gap is recovered."""
        return float(self.cost[int(np.argmax(self.pgr >= level))])

    @property
    def figures(self) -> tuple[float, float, float]:
        """APGR, CPT50, CPT80."""
        return self.apgr, self.cpt(LEVELS[0]), self.cpt(LEVELS[1])


@dataclass(frozen=True, slots=True)
class Figure:
    """A value with its 95 % bootstrap interval over prompts."""

    value: float
    low: float
    high: float

    def as_dict(self) -> dict[str, Any]:
        """Return plain, rounded values."""
        return {"value": round(self.value, 4), "ci95": [round(self.low, 4), round(self.high, 4)]}

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def recovered(score: Doubles, gain: Doubles, weight: Doubles | None = None) -> Recovered:
    """Serve prompts by falling score; ties at random on average: gains and costs are spread evenly over tied rows.

    Args:
        score: (n,), the higher the rather strong.
        gain: strong minus weak, (n,); its sum must be positive.
        weight: what a strong call costs, (n,); all the same where None.
    """
    _, inverse, counts = np.unique(-score, return_inverse=True, return_counts=True)
    cost = np.ones(len(gain)) if weight is None else weight
    steps = [np.repeat(np.bincount(inverse, weights=values) / counts, counts) for values in (gain, cost)]
    pgr, share = (
        np.concatenate([[0.0], np.cumsum(one)]) / values.sum() for one, values in zip(steps, (gain, cost), strict=True)
    )
    return Recovered(share, pgr)


def bootstrap(
    scores: dict[str, Doubles], gain: Doubles, weight: Doubles | None, seed: int
) -> dict[str, tuple[Figure, Figure, Figure]]:
    """Return APGR, CPT50 and CPT80 of each score, all on the same draws of prompts."""
    generator = np.random.default_rng(seed)
    draws = [generator.integers(len(gain), size=len(gain)) for _ in range(DRAWS)]
    found = {}
    for name, score in scores.items():
        values = recovered(score, gain, weight).figures
        drawn = [
            recovered(score[at], gain[at], None if weight is None else weight[at]).figures
            for at in draws
            if gain[at].sum() > 0
        ]
        low, high = np.percentile(np.array(drawn), [2.5, 97.5], axis=0)
        figures = [Figure(value, float(low[at]), float(high[at])) for at, value in enumerate(values)]
        found[name] = (figures[0], figures[1], figures[2])
    return found
