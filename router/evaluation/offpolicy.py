"""What another policy would have earned, estimated from a log: `python -m router.evaluation.offpolicy --log FILE...`.

Rows are `{expert, propensity, reward, target, reason?}`: who answered, with which probability that was drawn, how good
it was, and whom the policy in question would choose (a name, or probabilities by name). Inverse propensity scoring
(Horvitz and Thompson 1952) and its self-normalised form (Swaminathan and Joachims 2015), with bootstrap intervals.
"""

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from router.commands import run_command
from router.decision import Reason
from router.errors import DatasetError
from router.evaluation.gap import Figure
from router.training.dataset import read_json_lines
from router.training.heads import Doubles

DRAWS = 2_000
NOT_DRAWN = frozenset({Reason.PINNED, Reason.FALLBACK, Reason.HANDED_BACK})
"""Somebody else's choice: the propensity is not of this expert."""


@dataclass(frozen=True, slots=True)
class Logged:
    """Decisions as they were made and what came of them, n of them.

    Attributes:
        propensity: probability with which the answering expert was drawn, (n,), in (0, 1].
        reward: (n,).
        target: the other policy's probability of that same expert, (n,).
        skipped: rows left out because nobody drew them (pins, fallbacks, requests handed back).
    """

    propensity: Doubles
    reward: Doubles
    target: Doubles
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class Estimate:
    """The other policy's expected reward a request.

    Attributes:
        ips: unbiased where every choice of the target has a propensity above 0.
        snips: the same over the sum of the weights: slightly biased, far steadier.
        logged: what the logging policy earned.
        effective: rows that the weights amount to (Kish): few means that the log says little about the target.
        n: rows used.
        skipped: rows left out.
    """

    ips: Figure
    snips: Figure
    logged: Figure
    effective: float
    n: int
    skipped: int

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON line's object."""
        figures = {name: getattr(self, name).as_dict() for name in ("ips", "snips", "logged")}
        return figures | {"effective": round(self.effective, 1), "n": self.n, "skipped": self.skipped}


def read_log(paths: Iterable[Path], target: str = "target", reward: str = "reward") -> Logged:
    """Read logged rows; `target` and `reward` name their columns.

    Raises:
        DatasetError: a row lacks a column or its propensity is not in (0, 1]; names file and line.
    """
    rows: list[tuple[float, float, float]] = []
    skipped = 0
    for path in paths:
        for number, raw in read_json_lines(path):
            if raw.get("reason") in NOT_DRAWN:
                skipped += 1
                continue
            try:
                propensity, earned = float(raw["propensity"]), float(raw[reward])
                chance = _chance(raw[target], str(raw["expert"]))
            except (KeyError, TypeError, ValueError):
                raise DatasetError(f"{path.name}:{number}: needs expert, propensity, {reward} and {target}") from None
            if not (0.0 < propensity <= 1.0 and 0.0 <= chance <= 1.0):
                raise DatasetError(f"{path.name}:{number}: a probability is out of range")
            rows.append((propensity, earned, chance))
    if not rows:
        raise DatasetError("no rows to estimate from")
    columns = np.array(rows).T
    return Logged(columns[0], columns[1], columns[2], skipped)


def estimate(log: Logged, seed: int) -> Estimate:
    """Weigh each reward by how much likelier the target was to choose it; 95 % intervals by bootstrap over rows."""
    weight = log.target / log.propensity
    n = len(weight)
    generator = np.random.default_rng(seed)
    columns = np.stack([weight * log.reward, weight, log.reward], axis=1)  # (n, 3)
    drawn = np.array([columns[generator.integers(n, size=n)].mean(axis=0) for _ in range(DRAWS)])
    earned, total, logged = columns.mean(axis=0)
    return Estimate(
        ips=_figure(earned, drawn[:, 0]),
        snips=_figure(earned / total if total else 0.0, drawn[:, 0] / np.maximum(drawn[:, 1], 1e-12)),
        logged=_figure(logged, drawn[:, 2]),
        effective=float(weight.sum() ** 2 / (weight**2).sum()) if weight.any() else 0.0,
        n=n,
        skipped=log.skipped,
    )


def _chance(target: object, expert: str) -> float:
    """Read the target policy's probability of an expert: a name chooses it always, a mapping spells it out."""
    if isinstance(target, str):
        return float(target == expert)
    if isinstance(target, Mapping):
        return float(target.get(expert, 0.0))
    raise TypeError("target is neither a name nor probabilities")


def _figure(value: float, drawn: Doubles) -> Figure:
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Figure(float(value), float(low), float(high))


def main(arguments: Sequence[str] | None = None) -> int:
    """Estimate another policy's reward from logged decisions."""
    parser = argparse.ArgumentParser(prog="python -m router.evaluation.offpolicy", description=main.__doc__)
    parser.add_argument("--log", nargs="+", type=Path, required=True, help="rows {expert, propensity, reward, target}")
    parser.add_argument("--target", default="target", help="column of the policy in question")
    parser.add_argument("--reward", default="reward", help="column of the reward")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON line last")
    options = parser.parse_args(arguments)
    return run_command(parser, lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    """Estimate and tell."""
    found = estimate(read_log(options.log, options.target, options.reward), options.seed)
    console = Console(highlight=False, markup=False)
    console.print(f"IPS {found.ips}, SNIPS {found.snips}; the log itself earned {found.logged}")
    console.print(f"{found.n} rows that amount to {found.effective:.0f}; {found.skipped} left out (pins, fallbacks)")
    if options.json:
        print(json.dumps(found.as_dict()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
