"""`python -m router.evaluation.switching`: how firmly a conversation should stay with its expert, as a curve.

Trains on the seeds without one fold of conversations (conversations that begin alike are in one fold). Decides the last
turn of the held-out ones for every `switch_gain`, and shows what follow-ups gain and what changes of subject lose.
`policy.Policy.switch_gain` was chosen with it.
"""

import argparse
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from router.commands.messages import run_command
from router.model.artifact import DEFAULT_PATH, Artifact, load
from router.model.gate import TOOL_CALLER, Gate
from router.policy.decide import ExpertState, Policy, decide
from router.policy.settings import policy_of
from router.router import Router
from router.train import SEEDS_PATH, Recipe, train
from router.training.abstention import Bools
from router.training.dataset import Row, read_seeds
from router.training.follow_up_head import FOLLOW_UP
from router.training.readings import read_readings

GAINS = (0.0, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5)
GROUP_CHARS = 40  # conversations whose first words are the same lie in one fold
WINDOW = 1 << 30
DRAWS = 1_000


@dataclass(frozen=True, slots=True)
class Point:
    """One `switch_gain` and the accuracy of last turns under it, each with a 95 % bootstrap interval.

    Attributes:
        gain: the setting; None = no conversation holds anybody.
        follow_ups: turns tagged as follow-ups.
        changes: turns that begin another subject, whoever answers it.
        moves: those of them that the expert of the turn before may not answer.
        stays: share of the follow-ups which that expert may answer that go to it; each other one loses its cache.
    """

    gain: float | None
    follow_ups: tuple[float, float, float]
    changes: tuple[float, float, float]
    moves: tuple[float, float, float]
    stays: tuple[float, float, float]


def conversations(rows: Sequence[Row]) -> list[Row]:
    """Pick the rows with more than one user turn and no tools, which would decide by themselves."""
    return [row for row in rows if len(row.query.thread.said) > 1 and not row.query.has_tools]


def fold_of(row: Row, folds: int) -> int:
    """Place a row by the first words of its conversation."""
    return zlib.crc32(row.query.turns[0].text.casefold()[:GROUP_CHARS].encode("utf-8", "replace")) % folds


def held_out_gates(rows: Sequence[Row], folds: int, shipped: Artifact, seed: int, progress: Progress) -> list[Gate]:
    """Train one gate a fold on all text rows that are not in it; probabilities are scaled as the shipped ones are."""
    task = progress.add_task("training", total=folds)
    texts = [row for row in rows if TOOL_CALLER not in row.labels and not row.query.has_tools]
    gates = []
    for fold in range(folds):
        made = train([row for row in texts if fold_of(row, folds) != fold], Recipe(seed=seed)).artifact
        as_shipped = {name: getattr(shipped, name) for name in ("slope", "intercept", "rival", "abstain_below")}
        scaled = replace(made, **as_shipped, fits=None)
        gates.append(Gate(scaled))
        progress.update(task, advance=1)
    return gates


def choices(rows: Sequence[Row], gates: Sequence[Gate], policy: Policy, *, alone: bool = False) -> list[str]:
    """Decide every row by the gate that did not see it; `alone` forgets who answered before."""
    found = []
    for row in rows:
        gate = gates[fold_of(row, len(gates))]
        states = [ExpertState(name, WINDOW, True, 0, 1, 0.0) for name in gate.experts]
        if alone:
            made = decide(gate.by_expert(row.query), states, policy, prompt_tokens=0, router_version="")
        else:
            made = Router(gate, policy).route(row.query, states)
        found.append(made.expert)
    return found


def expert_before(row: Row, gates: Sequence[Gate]) -> str:
    """Name whom the conversation belonged to before its last user turn."""
    gate = gates[fold_of(row, len(gates))]
    places = [at for at, turn in enumerate(row.query.turns) if turn.role == "user"]
    before = gate.by_expert(replace(row.query, turns=row.query.turns[: places[-2] + 1]))
    return max(before, key=lambda name: before[name])


def curve(rows: Sequence[Row], gates: Sequence[Gate], policy: Policy, seed: int) -> list[Point]:
    """Measure every gain on the same rows, and first a router without memory."""
    before = [expert_before(row, gates) for row in rows]
    follows = np.array([FOLLOW_UP in row.tags for row in rows], dtype=np.bool_)
    belongs = np.array([expert in row.labels for expert, row in zip(before, rows, strict=True)], dtype=np.bool_)
    found = []
    for gain in (None, *GAINS):
        chosen = choices(rows, gates, replace(policy, switch_gain=gain or 0.0), alone=gain is None)
        hit = np.array([expert in row.labels for expert, row in zip(chosen, rows, strict=True)], dtype=np.bool_)
        stays = np.array([one == other for one, other in zip(chosen, before, strict=True)], dtype=np.bool_)
        parts = (hit[follows], hit[~follows], hit[~follows & ~belongs], stays[follows & belongs])
        found.append(Point(gain, *(_share(part, seed) for part in parts)))
    return found


def _share(hit: Bools, seed: int) -> tuple[float, float, float]:
    """Return the share and its bootstrap interval."""
    if not len(hit):
        return 0.0, 0.0, 0.0
    drawn = np.random.default_rng(seed).binomial(len(hit), hit.mean(), DRAWS) / len(hit)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(hit.mean()), float(low), float(high)


def report(rows: Sequence[Row], points: Sequence[Point], console: Console) -> None:
    """Print the curve."""
    table = Table(title=f"last turns of {len(rows)} conversations, each by a router that did not see it")
    for title in (
        "switch_gain",
        "follow-ups",
        "changes of subject",
        "of them, to another expert",
        "follow-ups that stay",
    ):
        table.add_column(title, justify="right")
    for point in points:
        shares = (point.follow_ups, point.changes, point.moves, point.stays)
        cells = (f"{one:.3f} ({low:.3f}-{high:.3f})" for one, low, high in shares)
        table.add_row("no memory" if point.gain is None else f"{point.gain:g}", *cells)
    console.print(table)


def main(arguments: Sequence[str] | None = None) -> int:
    """Show follow-ups and changes of subject for every switch_gain, on conversations held out."""
    parser = argparse.ArgumentParser(prog="python -m router.evaluation.switching", description=main.__doc__)
    parser.add_argument("--seeds", type=Path, default=SEEDS_PATH, help="folder of hand-written seed files")
    parser.add_argument("--readings", nargs="*", type=Path, default=[], help="unlabelled files, as router.train takes")
    parser.add_argument("--artifact", type=Path, default=DEFAULT_PATH, help="whose calibration and policy count")
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON line last")
    options = parser.parse_args(arguments)
    return run_command(parser, lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    """Hold out, decide, tell."""
    console, shipped = Console(width=120), load(options.artifact)
    rows = read_seeds(options.seeds) + read_readings(options.readings)
    with Progress(console=console, transient=True) as progress:
        gates = held_out_gates(rows, options.folds, shipped, options.seed, progress)
    tested = conversations(rows)
    points = curve(tested, gates, policy_of(shipped), options.seed)
    report(tested, points, console)
    if options.json:
        line = {str(point.gain): {name: getattr(point, name)[0] for name in Point.__slots__[1:]} for point in points}
        print(json.dumps(line))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
