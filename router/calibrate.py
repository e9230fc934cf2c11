"""Calibration on held-out sources: turns logits into probabilities, and finds the threshold for abstention.

`train` calls `fit_calibration` on leave-one-source-out logits. `python -m router.calibrate --data FILE...` does the
same for an existing artefact on rows it was not trained on, and writes the artefact again. With `--alpha` the threshold
keeps a given risk (`abstention`). With a target the command sets the knob instead (`calibrate_knob`).
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from router.commands import run_command
from router.model.artifact import DEFAULT_PATH, IS_ARTIFACT, load, save
from router.model.gate import TOOL_CALLER, Gate, sigmoid
from router.outputs import claim
from router.training.abstention import control_risk
from router.training.calibrate_knob import calibrate_knob
from router.training.crossval import HeldOut, truth
from router.training.dataset import read_rows, source_weights, without_duplicates
from router.training.heads import Doubles, featurize_all

ECE_BINS = 15
ABSTAIN_SHARE = 0.002

Bools = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True, slots=True)
class Calibration:
    """One slope and one intercept for all heads (so the order of experts never changes), and the threshold."""

    slope: float
    intercept: float
    abstain_below: float

    def probabilities(self, logits: Doubles) -> Doubles:
        """Map raw logits to calibrated probabilities."""
        return sigmoid(logits * self.slope + self.intercept)


@dataclass(frozen=True, slots=True)
class CrossFit:
    """What calibration is worth on sources it was not fitted on.

    Attributes:
        ece: expected calibration error of the best class.
        macro_accuracy: mean over sources after abstaining rows went to the default expert.
        abstained: share of rows that did, mean over sources.
    """

    ece: float
    macro_accuracy: float
    abstained: float


def fit_calibration(held: HeldOut) -> Calibration:
    """Fit the best class's logit to "it was right", every source weighing the same, then the threshold.

    Platt scaling (Platt 1999) on the one number that decides and is reported.
    """
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - training only

    top, hit = _top(held)
    weight = source_weights(held.sources)
    if hit.all() or not hit.any():
        return Calibration(1.0, 0.0, 0.0)
    model = LogisticRegression(C=10.0).fit(top[:, None], hit, sample_weight=weight)
    slope, intercept = max(float(model.coef_[0, 0]), 0.05), float(model.intercept_[0])
    probabilities = sigmoid(top * slope + intercept)
    return Calibration(slope, intercept, _threshold(probabilities, weight))


def crossfit(held: HeldOut, default_index: int) -> CrossFit:
    """Decide each source with the calibration and threshold fitted on all other sources; sources weigh the same."""
    top, hit = _top(held)
    confidence, answered = np.zeros(len(hit)), np.ones(len(hit), dtype=np.bool_)
    for source in np.unique(held.sources):
        out = held.sources == source
        if not (~out).any():
            continue
        fitted = fit_calibration(HeldOut(held.logits[~out], held.right[~out], held.sources[~out]))
        confidence[out] = fitted.probabilities(top[out])
        answered[out] = confidence[out] >= fitted.abstain_below
    weight = source_weights(held.sources)
    decided = np.where(answered, hit, held.right[:, default_index])
    return CrossFit(
        expected_calibration_error(confidence, hit, weight),
        float(np.average(decided, weights=weight)),
        float(np.average(~answered, weights=weight)),
    )


def expected_calibration_error(confidence: Doubles, hit: Bools, weight: Doubles | None = None) -> float:
    """Average |confidence - accuracy| over `ECE_BINS` equal bins of confidence (Guo et al. 2017), weighted by mass."""
    mass = np.ones(len(hit)) if weight is None else weight
    bins = np.minimum((confidence * ECE_BINS).astype(int), ECE_BINS - 1)
    gaps = [abs(float(np.sum((confidence - hit)[bins == at] * mass[bins == at]))) for at in range(ECE_BINS)]
    return sum(gaps) / float(mass.sum()) if len(hit) else 0.0


def _top(held: HeldOut) -> tuple[Doubles, Bools]:
    """Pick the best class's logit and whether it was right."""
    best = held.logits.argmax(axis=1)
    at = np.arange(len(best))
    return held.logits[at, best], held.right[at, best]


def _threshold(probability: Doubles, weight: Doubles) -> float:
    """Find the confidence that only `ABSTAIN_SHARE` of held-out requests fall short of.

    A threshold tuned for accuracy did not carry over to other sources (measured: CARD.md), so it only catches the odd.
    """
    order = np.argsort(probability)
    mass = np.cumsum(weight[order]) / weight.sum()
    return round(float(probability[order[int(np.searchsorted(mass, ABSTAIN_SHARE))]]), 3)


def main(arguments: Sequence[str] | None = None) -> int:
    """Calibrate an artefact on labelled rows that it was not trained on: its probabilities, or the knob to a target."""
    parser = argparse.ArgumentParser(prog="python -m router.calibrate", description=main.__doc__)
    parser.add_argument("--data", nargs="+", type=Path, required=True, help="labelled rows from held-out sources")
    parser.add_argument("--artifact", type=Path, default=DEFAULT_PATH)
    parser.add_argument("--out", type=Path, help="where to write; the artefact itself by default")
    parser.add_argument("--alpha", type=float, help="abstain so that at most this share of answers goes wrong")
    parser.add_argument("--delta", type=float, default=0.05, help="probability with which that promise may fail")
    target = parser.add_mutually_exclusive_group()
    target.add_argument("--target-cost", type=float, help="set the knob: share of the cost of quality alone, 0..1")
    target.add_argument("--target-quality", type=float, help="set the knob: share of the best quality to keep, 0..1")
    parser.add_argument(
        "--prices", type=Path, help="JSON {expert: {prompt, completion}}, USD per million tokens; for a target"
    )
    parser.add_argument("--seed", type=int, default=0, help="of splits and bootstrap draws")
    parser.add_argument("--json", action="store_true", help="print one JSON line last")
    options = parser.parse_args(arguments)
    for name in ("alpha", "delta", "target_cost", "target_quality"):
        value = getattr(options, name)
        if value is not None and not 0.0 < value <= 1.0:
            parser.error(f"--{name.replace('_', '-')} must be in (0, 1]")
    wants_knob = options.target_cost is not None or options.target_quality is not None
    if wants_knob and options.prices is None:
        parser.error("a target needs --prices")

    def work() -> int:
        claim(options.out or options.artifact, IS_ARTIFACT)
        return calibrate_knob(options) if wants_knob else _calibrate_probabilities(options)

    return run_command(parser, work)


def _calibrate_probabilities(options: argparse.Namespace) -> int:
    """Fit slope, intercept and threshold anew, and save."""
    artifact = load(options.artifact)
    rows = [row for row in without_duplicates(read_rows(options.data)) if TOOL_CALLER not in row.labels]
    neutral = Gate(replace(artifact, slope=np.ones_like(artifact.slope), intercept=np.zeros_like(artifact.intercept)))
    logits = np.array([neutral.logits(one) for one in featurize_all(rows)])
    held = HeldOut(logits, truth(rows, artifact.classes), np.array([row.source for row in rows]))
    found = fit_calibration(held)
    console = Console()
    if options.alpha is not None:
        top, hit = _top(held)
        control = control_risk(found.probabilities(top), hit, options.alpha, options.delta)
        found = replace(found, abstain_below=control.abstain_below)
        console.print(
            f"risk of answered requests at most {options.alpha:g} with confidence {1 - options.delta:g}: "
            f"{control.coverage:.1%} answered, {control.risk:.3f} of them wrong, bound {control.bound:.3f}"
        )
    renewed = replace(
        artifact,
        slope=np.full_like(artifact.slope, found.slope),
        intercept=np.full_like(artifact.intercept, found.intercept),
        abstain_below=found.abstain_below,
    )
    version = save(renewed, options.out or options.artifact)
    crossed = crossfit(held, artifact.classes.index(artifact.default_expert))
    console.print(f"slope {found.slope:.3f}, intercept {found.intercept:.3f}, abstain below {found.abstain_below:.2f}")
    console.print(f"cross-fitted ECE {crossed.ece:.3f} on {len(rows)} rows; artefact {version}")
    if options.json:
        print(json.dumps({"abstain_below": found.abstain_below, "ece": crossed.ece, "version": version}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
