"""A score with its sample size and 95 % interval: Wilson for shares, the percentile bootstrap for means.

A suite judges each answer into measures by name (`Verdict`); `summarise` turns the verdicts of a run into scores. A
measure that does not apply to a row is absent from its verdict, so every score has an n of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Verdict = Mapping[str, bool | float]

_Z95 = 1.959963984540054
_RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Score:
    """A mean over `n` answers, and the interval that holds the true mean with 95 % confidence."""

    value: float
    low: float
    high: float
    n: int

    def as_dict(self) -> dict[str, object]:
        """Return the JSON line's form."""
        return {"value": round(self.value, 4), "ci95": [round(self.low, 4), round(self.high, 4)], "n": self.n}


def share(successes: int, n: int) -> Score:
    """Return a share with Wilson's score interval (Wilson 1927); `n` >= 1."""
    rate, spread = successes / n, _Z95**2 / n
    centre = (rate + spread / 2) / (1 + spread)
    half = _Z95 * math.sqrt(rate * (1 - rate) / n + spread / (4 * n)) / (1 + spread)
    # At the ends the bound is the rate itself, which rounding would otherwise miss by 1e-17.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return Score(rate, low, high, n)


def mean(values: Sequence[float], seed: int) -> Score:
    """Return a mean with the percentile bootstrap's interval (Efron 1979, 2000 resamples); `values` not empty."""
    sampled = np.asarray(values, dtype=np.float64)
    rng = np.random.default_rng(seed)
    means = [float(rng.choice(sampled, len(sampled)).mean()) for _ in range(_RESAMPLES)]
    low, high = np.percentile(means, [2.5, 97.5])
    return Score(float(sampled.mean()), float(low), float(high), len(sampled))


def summarise(verdicts: Sequence[Verdict], seed: int) -> dict[str, Score]:
    """Average each measure over the rows that it applies to; a measure of booleans only is a share."""
    names = dict.fromkeys(name for verdict in verdicts for name in verdict)
    return {name: _score([verdict[name] for verdict in verdicts if name in verdict], seed) for name in names}


def _score(values: Sequence[bool | float], seed: int) -> Score:
    if all(isinstance(value, bool) for value in values):
        return share(sum(map(bool, values)), len(values))
    return mean([float(value) for value in values], seed)
