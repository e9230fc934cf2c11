"""Calibration on held-out sources: turns logits into probabilities, and finds the threshold for abstention.

`train` calls `fit_calibration` on leave-one-source-out logits. `python -m router.calibrate --data FILE...` does the
same for an existing artefact on rows it was not trained on, and writes the artefact again. With `--alpha` the threshold
keeps a given risk (`abstention`). With a target the command sets the knob instead (`calibrate_knob`).
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console

from router.commands.messages import run_command
from router.commands.outputs import claim
from router.model.artifact import DEFAULT_PATH, IS_ARTIFACT, load, save
from router.model.gate import TOOL_CALLER, Gate
from router.training.abstention import control_risk
from router.training.calibrate_knob import calibrate_knob
from router.training.calibration import _hit, crossfit, fit_calibration
from router.training.crossval import HeldOut, truth
from router.training.dataset import read_rows, without_duplicates
from router.training.heads import featurize_all


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
    logits = np.array([Gate(artifact).raw(one) for one in featurize_all(rows)], dtype=np.float64)
    held = HeldOut(logits, truth(rows, artifact.classes), np.array([row.source for row in rows]))
    found = fit_calibration(held)
    console = Console()
    if options.alpha is not None:
        control = control_risk(found.best(held.logits), _hit(held), options.alpha, options.delta)
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
        rival=found.rival,
    )
    version = save(renewed, options.out or options.artifact)
    crossed = crossfit(held, artifact.classes.index(artifact.default_expert))
    scale = f"slope {found.slope:.3f}, rival {found.rival:.3f}, intercept {found.intercept:.3f}"
    console.print(f"{scale}, abstain below {found.abstain_below:.2f}")
    console.print(f"cross-fitted ECE {crossed.ece:.3f} on {len(rows)} rows; artefact {version}")
    if options.json:
        print(json.dumps({"abstain_below": found.abstain_below, "ece": crossed.ece, "version": version}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
