"""Whether a candidate is better than what serves, on the same rows: five verdicts and nothing between.

Both answer every row, so what is estimated is the mean of the differences, with a paired bootstrap (Efron and
Tibshirani 1993, chapter 16). A goal is what the candidate was made for; everything else is a guard, which may not get
worse.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import numpy as np

_RESAMPLES: Final = 4000
_FEW_VALUES: Final = 64


class Verdict(StrEnum):
    """What a comparison says."""

    BETTER = "better"  # the interval of the difference lies above 0
    NOT_WORSE = "not worse"  # it lies above what may be lost
    WORSE = "worse"  # it lies below 0
    NO_HEADROOM = "no headroom"  # not worse, and what serves is so good that nothing could be better
    TOO_LITTLE_DATA = "too little data"  # it is too wide to say


@dataclass(frozen=True, slots=True)
class Rules:
    """When a difference counts.

    Attributes:
        margin: what a measure of 0..1 may lose and still be not worse.
        headroom: how far below 1 a measure must be for anything to be better.
        least: rows below which nothing is said.
    """

    margin: float = 0.03
    headroom: float = 0.02
    least: int = 50


@dataclass(frozen=True, slots=True)
class Finding:
    """One measure.

    Attributes:
        name: of the measure.
        n: rows that both answered.
        incumbent: mean; likewise `candidate`.
        low: of the 95 % interval of the difference; likewise `high`.
        verdict: what it says.
        needed: rows that would say it, roughly, where there is too little data.
    """

    name: str
    n: int
    incumbent: float
    candidate: float
    low: float
    high: float
    verdict: Verdict
    needed: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the manifest's form."""
        return {
            "name": self.name,
            "n": self.n,
            "incumbent": round(self.incumbent, 4),
            "candidate": round(self.candidate, 4),
            "difference": {
                "value": round(self.candidate - self.incumbent, 4),
                "ci95": [round(self.low, 4), round(self.high, 4)],
            },
            "verdict": self.verdict.value,
            "needed": self.needed,
        }


@dataclass(frozen=True, slots=True)
class Judgement:
    """All measures, and what they say together; `because` names the one that decided."""

    verdict: Verdict
    because: str
    findings: tuple[Finding, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the manifest's form."""
        findings = [finding.as_dict() for finding in self.findings]
        return {"verdict": self.verdict.value, "because": self.because, "findings": findings}


Pairs = Mapping[str, tuple[Sequence[float], Sequence[float]]]
"""By measure: the incumbent's and the candidate's values on the same rows, higher is better."""


def judge(pairs: Pairs, goal: str, rules: Rules = Rules(), *, seed: int = 0) -> Judgement:  # frozen
    """Compare a candidate with what serves.

    Raises:
        KeyError: there is no measure of the goal's name.
    """
    findings = tuple(
        compare(name, incumbent, candidate, rules, seed=seed) for name, (incumbent, candidate) in pairs.items()
    )
    aim = next((finding for finding in findings if finding.name == goal), None)
    if aim is None:
        raise KeyError(goal)
    for verdict in (Verdict.WORSE, Verdict.TOO_LITTLE_DATA):
        for finding in findings:
            if finding.verdict is verdict:
                return Judgement(verdict, finding.name, findings)
    return Judgement(aim.verdict, goal, findings)


def compare(
    name: str, incumbent: Sequence[float], candidate: Sequence[float], rules: Rules, *, seed: int = 0
) -> Finding:
    """Compare one measure.

    Raises:
        ValueError: they are not of the same rows.
    """
    old, new = np.asarray(incumbent, dtype=np.float64), np.asarray(candidate, dtype=np.float64)
    if old.shape != new.shape:
        raise ValueError(f"{name}: the two have not answered the same rows")
    n = len(old)
    if n < max(2, rules.least):
        means = (float(old.mean()), float(new.mean())) if n else (0.0, 0.0)
        return Finding(name, n, *means, -1.0, 1.0, Verdict.TOO_LITTLE_DATA, rules.least)
    low, high = _interval(new - old, seed)
    verdict = _verdict(low, high, float(old.mean()), rules)
    needed = math.ceil(n * ((high - low) / 2 / rules.margin) ** 2) if verdict is Verdict.TOO_LITTLE_DATA else None
    return Finding(name, n, float(old.mean()), float(new.mean()), low, high, verdict, needed)


def _verdict(low: float, high: float, incumbent: float, rules: Rules) -> Verdict:
    if low > 0.0:
        return Verdict.BETTER
    if high < 0.0:
        return Verdict.WORSE
    if low > -rules.margin:
        return Verdict.NO_HEADROOM if incumbent >= 1.0 - rules.headroom else Verdict.NOT_WORSE
    return Verdict.TOO_LITTLE_DATA


def _interval(differences: np.ndarray[Any, np.dtype[np.float64]], seed: int) -> tuple[float, float]:
    """Return the percentile bootstrap's interval of the mean.

    Differences of few values (those of right and wrong have three) are drawn by how often each comes: the same
    bootstrap, at a fraction of the cost.
    """
    generator, n = np.random.default_rng(seed), len(differences)
    values, counts = np.unique(differences, return_counts=True)
    if len(values) <= _FEW_VALUES:
        means = generator.multinomial(n, counts / n, size=_RESAMPLES) @ values / n
    else:
        means = np.array([differences[generator.integers(n, size=n)].mean() for _ in range(_RESAMPLES)])
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)
