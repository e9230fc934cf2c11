"""`python -m router.calibrate --target-cost X | --target-quality Y --prices FILE --data FILE...`: the knob, calibrated.

Fits the table that maps the knob to λ (`tradeoff`) and names the position for the target. On rows on which the table
was not fitted it shows the target beside the result. `calibrate.main` calls it; `train` calls `with_reference_knob`, so
that an artefact ships with a table.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from router.errors import CalibrationError
from router.model.artifact import Artifact, load, save
from router.model.gate import Gate
from router.policy.cost_knob import SETTINGS, Knob
from router.policy.settings import policy_dict, policy_of
from router.training.dataset import Row, read_rows, without_duplicates
from router.training.tradeoff import (
    HIGHEST,
    Curve,
    Field,
    Ints,
    curve_of,
    field_of,
    fit_table,
    position_for,
    read_prices,
    reference_prices,
    states_of,
)


@dataclass(frozen=True, slots=True)
class Realised:
    """A target as asked for, and as it came out on rows that the knob was not fitted on; shares of position 0's."""

    position: float
    cost: float
    quality: float


def calibrate_knob(options: argparse.Namespace) -> int:
    """Fit, check, report, save; with equal prices there is nothing to fit and nothing is written.

    Raises:
        CalibrationError: too few rows, or the target cannot be met.
    """
    prices = read_prices(options.prices)
    artifact = load(options.artifact)
    policy, gate = policy_of(artifact), Gate(artifact)
    rows = without_duplicates(read_rows(options.data))
    if len(rows) < 2 * SETTINGS:
        raise CalibrationError(f"{len(rows)} rows are too few: {2 * SETTINGS} or more")
    states = states_of(gate.experts, prices)
    field = field_of(gate, rows, states, policy.objective.knob, artifact.abstain_below)
    console = Console()
    target = {"target_cost": options.target_cost, "target_quality": options.target_quality}
    if field.usd_at(HIGHEST) == field.usd_at(0.0):
        return _nothing_to_trade(target, console, as_json=options.json)
    first, second = halves([str(at) for at in range(len(rows))], options.seed)
    knob = replace(policy.objective.knob, table=fit_table(field.part(first)))
    curve = curve_of(field.part(second), knob, options.seed)
    asked = asked_of(field.part(first))
    report_curve(curve, asked, console)
    labels = [row.labels[0] for row in rows]
    splits = {
        "unseen rows": (field, (first, second)),
        "unseen sources, same mix": (
            field.weighed(labels),
            _by_source(rows, options.seed),
        ),
        "unseen sources, another mix": (field, halves([row.source for row in rows], options.seed)),
    }
    found: dict[str, Any] = {}
    for name, (whole_field, (fitted, held)) in splits.items():
        outcome = _realise(whole_field.part(fitted), whole_field.part(held), knob, target)
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
        asked_for = {name: value for name, value in target.items() if value is not None}
        line = {"position": position, "asked": asked_for, "realised": found, "monotone": curve.is_monotone}
        print(json.dumps(line | {"settings": settings_of(curve, asked), "version": version}))
    return 0


def with_reference_knob(artifact: Artifact, rows: Sequence[Row]) -> Artifact:
    """Return the artefact with a table fitted on rows it did not learn from, at `reference_prices`.

    Each expert's requests count the same. Whoever knows their own prices and traffic calibrates anew; with equal prices
    no table changes anything.
    """
    if not rows:
        return artifact
    policy, gate = policy_of(artifact), Gate(artifact)
    states = states_of(gate.experts, reference_prices(gate.experts, artifact.default_expert))
    field = field_of(gate, rows, states, policy.objective.knob, artifact.abstain_below)
    if field.usd_at(HIGHEST) == field.usd_at(0.0):
        return artifact
    table = fit_table(field.weighed([row.labels[0] for row in rows]))
    objective = replace(policy.objective, knob=replace(policy.objective.knob, table=table))
    return replace(artifact, policy=policy_dict(replace(policy, objective=objective)))


def halves(groups: Sequence[str], seed: int) -> tuple[Ints, Ints]:
    """Split rows in two so that no group is in both."""
    names = np.random.default_rng(seed).permutation(np.unique(groups))
    is_first = np.isin(groups, names[: (len(names) + 1) // 2])
    return np.flatnonzero(is_first), np.flatnonzero(~is_first)


def asked_of(field: Field) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the share of cost that each position stands for, (K,)."""
    return np.asarray(1.0 - (1.0 - field.usd_at(HIGHEST) / field.usd_at(0.0)) * np.linspace(0.0, 1.0, SETTINGS))


def settings_of(curve: Curve, asked: np.ndarray[Any, np.dtype[np.float64]]) -> list[dict[str, Any]]:
    """Return the table's rows as plain values."""
    return [
        {
            "position": round(float(curve.positions[at]), 2),
            "price_of_cost": float(curve.prices_of_cost[at]),
            "asked": float(asked[at]),
            "cost": {"value": float(curve.cost[at]), "ci95": curve.cost_ci[at].tolist()},
            "quality": {"value": float(curve.quality[at]), "ci95": curve.quality_ci[at].tolist()},
        }
        for at in range(len(asked))
    ]


def report_curve(curve: Curve, asked: np.ndarray[Any, np.dtype[np.float64]], console: Console) -> None:
    """Print all settings, fitted on one half of the rows and measured on the other."""
    table = Table(title="the knob on rows it was not fitted on (95 % intervals)", caption="shares of position 0's")
    for title in ("knob", "λ", "asked", "cost", "quality"):
        table.add_column(title, justify="right", no_wrap=True)
    for at, position in enumerate(curve.positions):
        table.add_row(
            f"{position:.2f}",
            f"{curve.prices_of_cost[at]:.4f}",
            f"{asked[at]:.3f}",
            f"{curve.cost[at]:.3f} ({curve.cost_ci[at, 0]:.3f}-{curve.cost_ci[at, 1]:.3f})",
            f"{curve.quality[at]:.3f} ({curve.quality_ci[at, 0]:.3f}-{curve.quality_ci[at, 1]:.3f})",
        )
    console.print(table)
    worst = float(np.abs(curve.cost - asked).max())
    verdict = "yes" if curve.is_monotone else "NO"
    console.print(f"monotone within intervals: {verdict}; largest |cost - asked| over all settings {worst:.3f}")


def _by_source(rows: Sequence[Row], seed: int) -> tuple[Ints, Ints]:
    """Split each expert's sources in two; an expert of whom there is one source gives half of its rows to each side."""
    first: list[int] = []
    for label in sorted({row.labels[0] for row in rows}):
        mine = np.array([at for at, row in enumerate(rows) if row.labels[0] == label])
        sources = [rows[at].source for at in mine]
        groups = sources if len(set(sources)) > 1 else [str(at) for at in mine]
        first += mine[halves(groups, seed)[0]].tolist()
    is_first = np.isin(np.arange(len(rows)), first)
    return np.flatnonzero(is_first), np.flatnonzero(~is_first)


def _nothing_to_trade(target: dict[str, float | None], console: Console, *, as_json: bool) -> int:
    """Say that the knob changes nothing here.

    Raises:
        CalibrationError: less than the whole cost was asked for.
    """
    if (target["target_cost"] or 1.0) < 1.0:
        raise CalibrationError("at these prices no choice is cheaper than another: every setting costs 1.000")
    console.print(f"at these prices all {SETTINGS} settings cost and keep 1.000: nothing to set")
    if as_json:
        print(json.dumps({"position": 0.0, "realised": {}, "monotone": True, "settings": []}))
    return 0


def _realise(fitted: Field, held: Field, knob: Knob, target: dict[str, float | None]) -> Realised:
    """Set the knob on some rows and see what it does on the others."""
    own = replace(knob, table=fit_table(fitted))
    position = position_for(fitted, own, **target)
    usd, right = held.outcome(own.price_of_cost(position))
    usd_at_0, right_at_0 = held.outcome(0.0)
    return Realised(position, float(usd.sum() / usd_at_0.sum()), float(right.sum() / right_at_0.sum()))


def _words(target: dict[str, float | None]) -> str:
    return ", ".join(f"{name.removeprefix('target_')} {value:g}" for name, value in target.items() if value is not None)
