"""`python -m router.calibrate --target-cost X | --target-quality Y --prices FILE --data FILE...`: the knob, calibrated.

Fits the table that maps the knob to λ (`tradeoff`), says which position meets the target, and shows on rows that the
table was not fitted on what was asked for beside what came out. `calibrate.main` calls it.
"""

import argparse
import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from router.artifact import load, save
from router.dataset import read_rows, without_duplicates
from router.errors import CalibrationError
from router.gate import Gate
from router.knob import SETTINGS, Knob
from router.policy_file import policy_dict, policy_of
from router.tradeoff import (
    HIGHEST,
    Curve,
    Field,
    Ints,
    curve_of,
    field_of,
    fit_table,
    position_for,
    read_prices,
    states_of,
)


@dataclass(frozen=True, slots=True)
class Realised:
    """A target as asked for, and as it came out on rows that the knob was not fitted on; shares of position 0's."""

    position: float
    cost: float
    quality: float


def calibrate_knob(options: argparse.Namespace) -> int:
    """Fit, check, report, save.

    Raises:
        CalibrationError: prices leave nothing to trade, or the target cannot be met.
    """
    artifact = load(options.artifact)
    policy, gate = policy_of(artifact), Gate(artifact)
    rows = without_duplicates(read_rows(options.data))
    states = states_of(gate.experts, read_prices(options.prices))
    field = field_of(gate, rows, states, policy.objective.knob, artifact.abstain_below)
    if len(rows) < 2 * SETTINGS or np.ptp(np.array([field.outcome(at)[0].sum() for at in (0.0, HIGHEST)])) == 0.0:
        raise CalibrationError("too few rows, or prices between which there is nothing to choose")
    halves = _halves(np.array([str(at) for at in range(len(rows))]), options.seed)
    by_source = _halves(np.array([row.source for row in rows]), options.seed)
    knob = replace(policy.objective.knob, table=fit_table(field.part(halves[0])))
    curve = curve_of(field.part(halves[1]), knob, options.seed)
    console = Console()
    _report_curve(curve, _asked(field.part(halves[0])), console)
    target = {"target_cost": options.target_cost, "target_quality": options.target_quality}
    found: dict[str, Any] = {}
    for name, (fitted, held) in (("unseen rows", halves), ("unseen sources", by_source)):
        outcome = _realise(field.part(fitted), field.part(held), knob, target)
        found[name] = {"position": outcome.position, "cost": outcome.cost, "quality": outcome.quality}
        console.print(
            f"{name}: position {outcome.position:.3f}, cost {outcome.cost:.3f}, quality {outcome.quality:.3f} "
            f"of quality alone; asked for {_words(target)}"
        )
    whole = replace(knob, table=fit_table(field))
    position = position_for(field, whole, **target)
    objective = replace(policy.objective, knob=whole)
    renewed = replace(artifact, policy=policy_dict(replace(policy, objective=objective)))
    version = save(renewed, options.out or options.artifact)
    console.print(f"set router.quality_cost (or a request's quality_cost) to {position:.3f}; artefact {version}")
    if options.json:
        asked = {name: value for name, value in target.items() if value is not None}
        line = {"position": position, "asked": asked, "realised": found, "monotone": curve.is_monotone}
        print(json.dumps(line | {"version": version}))
    return 0


def _halves(groups: np.ndarray[Any, np.dtype[np.str_]], seed: int) -> tuple[Ints, Ints]:
    """Split rows in two so that no group is in both."""
    names = np.random.default_rng(seed).permutation(np.unique(groups))
    is_first = np.isin(groups, names[: (len(names) + 1) // 2])
    return np.flatnonzero(is_first), np.flatnonzero(~is_first)


def _asked(field: Field) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the share of cost that each position stands for, (K,)."""
    first, last = (float(field.outcome(value)[0].sum()) for value in (0.0, HIGHEST))
    return np.asarray(1.0 - (1.0 - last / first) * np.linspace(0.0, 1.0, SETTINGS))


def _realise(fitted: Field, held: Field, knob: Knob, target: dict[str, float | None]) -> Realised:
    """Set the knob on some rows and see what it does on the others."""
    own = replace(knob, table=fit_table(fitted))
    position = position_for(fitted, own, **target)
    usd, right = held.outcome(own.price_of_cost(position))
    usd_at_0, right_at_0 = held.outcome(0.0)
    return Realised(position, float(usd.sum() / usd_at_0.sum()), float(right.sum() / right_at_0.sum()))


def _words(target: dict[str, float | None]) -> str:
    return ", ".join(f"{name.removeprefix('target_')} {value:g}" for name, value in target.items() if value is not None)


def _report_curve(curve: Curve, asked: np.ndarray[Any, np.dtype[np.float64]], console: Console) -> None:
    """Print all settings, fitted on one half of the rows and measured on the other."""
    table = Table(title="the knob on rows it was not fitted on; shares of position 0, 95 % intervals")
    for title in ("position", "λ", "cost asked", "cost", "", "quality", "", "accuracy"):
        table.add_column(title, justify="right")
    for at, position in enumerate(curve.positions):
        table.add_row(
            f"{position:.2f}",
            f"{curve.prices_of_cost[at]:.4f}",
            f"{asked[at]:.3f}",
            f"{curve.cost[at]:.3f}",
            f"{curve.cost_ci[at, 0]:.3f}-{curve.cost_ci[at, 1]:.3f}",
            f"{curve.quality[at]:.3f}",
            f"{curve.quality_ci[at, 0]:.3f}-{curve.quality_ci[at, 1]:.3f}",
            f"{curve.accuracy[at]:.3f}",
        )
    console.print(table)
    worst = float(np.abs(curve.cost - asked).max())
    verdict = "yes" if curve.is_monotone else "NO"
    console.print(f"monotone within intervals: {verdict}; largest |cost - asked| over all settings {worst:.3f}")
