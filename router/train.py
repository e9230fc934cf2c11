"""`python -m router.train`: from labelled rows to the shipped artefact in one command, with the same bytes every time.

Reads data through `dataset`, fits the network and its heads on the rows that teach, measures on held-out sources
through `crossval`, calibrates on those and saves. Never imported at serving time.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from router.commands.messages import run_command
from router.commands.outputs import claim
from router.errors import DatasetError
from router.features.featurize import BUCKETS, DENSE_NAMES, fit_of
from router.features.tool_fit import opinions
from router.model.artifact import DEFAULT_PATH, IS_ARTIFACT, Artifact, Side, save
from router.model.gate import TOOL_CALLER
from router.model.network import Network
from router.training.calibrate_knob import with_reference_knob
from router.training.calibration import Calibration, CrossFit, crossfit, fit_calibration
from router.training.crossval import HeldOut, leave_one_source_out
from router.training.dataset import Row, at_most, digest, read_rows, read_seeds, taught, without_duplicates
from router.training.fitting import COPIES, fit_network
from router.training.follow_up_head import fit_leaning
from router.training.grow import add_experts
from router.training.heads import Head, design_matrix, featurize_all, fit_head
from router.training.opinions import Opinions
from router.training.readings import read_readings
from router.training.system_fit import fit_system, is_system_row, prompted
from router.training.tool_rows import FOLDS, NEAR_MISS, fits, fold_of_requests, read_misfits, tool_rows, tool_weights
from router.training.typos import slipped

SEEDS_PATH = Path(__file__).parent / "training" / "seeds"
DEFAULT_EXPERT = "generalist"
TOOL_STRENGTH = 0.3
KEPT_FITS = 0.984  # of the hand-written requests whose tools fit; see CARD.md for what it costs the others
ROWS_PER_SOURCE = 400
TEMPLATE = "template"  # tag of rows that a front end's program writes in the user's turn; they come without tools


@dataclass(frozen=True, slots=True)
class Trained:
    """What one training run found.

    Attributes:
        artifact: ready to save.
        held_out: logits of every source by heads that never saw it; None with fewer than two sources.
        crossed: calibration and abstention, each source by what the others taught; None likewise.
    """

    artifact: Artifact
    held_out: HeldOut | None
    crossed: CrossFit | None


@dataclass(frozen=True, slots=True)
class Recipe:
    """The settings of a run."""

    seed: int = 0
    copies: int = COPIES
    rows_per_source: int = ROWS_PER_SOURCE
    misfits: Sequence[Row] = ()
    record: dict[str, Any] = field(default_factory=dict)


def train(rows: Sequence[Row], recipe: Recipe, progress: Progress | None = None) -> Trained:
    """Fit, measure and calibrate; deterministic in `rows` and `recipe`."""
    stage = _stages(progress)
    stage("reading rows")
    every = at_most(without_duplicates(rows), recipe.rows_per_source, recipe.seed)
    kept = [row for row in every if not is_system_row(row)]
    leans = fit_leaning(kept, recipe.seed)
    worded = [row for row in kept if TOOL_CALLER not in row.labels and NEAR_MISS not in row.tags]
    classes = sorted({label for row in worded for label in row.labels} | {DEFAULT_EXPERT})
    read = [*worded, *slipped([row for row in worded if row.is_seed], recipe.seed)]
    matrix = design_matrix(featurize_all(read, leans.leaning)).tocsr()
    sources = {row.source for row in worded if not row.is_seed}
    stage("fitting the network")
    fit = partial(fit_network, classes=classes, seed=recipe.seed)
    network = fit(*_taught(matrix, read), copies=recipe.copies)
    held_out, crossed, calibration = None, None, Calibration(1.0, 0.0, 0.0)
    if len(sources) > 1:
        stage("holding sources out")
        held_out = leave_one_source_out(matrix, read, classes, network, partial(fit, copies=1), stage)
        calibration = fit_calibration(held_out)
        crossed = crossfit(held_out, classes.index(DEFAULT_EXPERT))
    record = recipe.record | {
        "rows": len(every),
        "mix": class_mix(kept),
        "loso": held_out.accuracy_by_source() if held_out else {},
        "loso_macro": held_out.macro_accuracy() if held_out else None,
        "crossfit": asdict(crossed) if crossed else None,
    }
    stage("fitting the tools' head")
    tooled = tool_rows([row for row in kept if TEMPLATE not in row.tags], recipe.misfits, recipe.seed)
    opinions_of = Opinions(*_taught(matrix[: len(worded)], worded), partial(fit, copies=1), calibration)
    fitting = fit_tools(tooled, leans, opinions_of, recipe.seed)
    artifact = _artifact(classes, network, calibration, _tool_probability(kept), record)
    stage("fitting the weights of system prompts")
    plain = [row for row in worded if row.is_seed and _is_plain(row)]
    asked = prompted([row for row in every if TOOL_CALLER not in row.labels], plain, recipe.seed)
    system = fit_system(asked, classes, network, lambda said: opinions_of(said, featurize_all(said, leans.leaning)))
    artifact = replace(artifact, leans=_side(leans), fits=_side(fitting), system=system)
    stage("measuring what the knob saves")
    return Trained(with_reference_knob(artifact, [row for row in kept if not row.is_seed]), held_out, crossed)


def _is_plain(row: Row) -> bool:
    """Say whether a row is one user's turn, in the user's own words, and nothing else."""
    return len(row.query.turns) == 1 and not row.query.has_tools and TEMPLATE not in row.tags


def _stages(progress: Progress | None) -> Callable[[str], None]:
    """Show what training is about, where somebody looks."""
    if progress is None:
        return lambda name: None
    task = progress.add_task("", total=None)
    return lambda name: progress.update(task, description=name)


def _taught(matrix: Any, rows: Sequence[Row]) -> tuple[Any, list[Row]]:  # noqa: ANN401 - scipy ships no types
    """Pick what is learned from: (its part of the matrix, its rows)."""
    learned = taught(rows)
    return (matrix[[row.is_seed for row in rows]] if len(learned) < len(rows) else matrix), learned


def fit_tools(rows: Sequence[Row], leans: Head, opinions_of: Opinions, seed: int) -> Head | None:
    """Fit the head that says whether tools fit, and lower its threshold until nearly no fitting tools are lost.

    None without examples of both. The bias is set on folds of whole rows, each scored by a head that did not see them:
    structure comes first, so the error allowed is that of sending too much to the tool-caller.
    """
    target = fits(rows)
    if len(rows) < FOLDS or target.all() or not target.any():
        return None
    features = featurize_all(rows, leans.leaning)
    fitted = np.vstack([fit_of(row.query, one) for row, one in zip(rows, features, strict=True)])
    said = opinions_of(rows, features)
    matrix = design_matrix(features, list(np.hstack([fitted, opinions(said)]))).tocsr()
    weight = tool_weights(rows)
    fold = fold_of_requests(rows, seed)
    logits = np.zeros(len(rows))
    for at in range(FOLDS):
        out = fold == at
        head = fit_head(matrix[~out], target[~out], weight[~out], TOOL_STRENGTH, seed)
        logits[out] = head.logits(matrix[out])
    head = fit_head(matrix, target, weight, TOOL_STRENGTH, seed)
    words = opinions_of.calibration
    rival = np.minimum(0.0, words.logits(said).max(axis=1))  # what `Gate.probabilities` compares with
    is_seed = np.array([row.is_seed for row in rows])
    judged = target & is_seed if (target & is_seed).any() else target  # benchmarks' own are easier than what people ask
    lost = float(np.quantile((logits - rival)[judged], 1.0 - KEPT_FITS))
    return replace(head, bias=head.bias + max(0.0, -lost))


def _side(head: Head | None) -> Side | None:
    """Make a head servable."""
    return Side(head.hashed.astype(np.float32), head.dense.astype(np.float32), head.bias) if head else None


def _artifact(
    classes: Sequence[str],
    network: Network,
    calibration: Calibration,
    tool_probability: float,
    record: dict[str, Any],
) -> Artifact:
    """Put trained parts together."""
    count = len(classes)
    return Artifact(
        classes=tuple(classes),
        network=network,
        slope=np.full(count, calibration.slope, dtype=np.float32),
        intercept=np.full(count, calibration.intercept, dtype=np.float32),
        tool_probability=tool_probability,
        default_expert=DEFAULT_EXPERT,
        abstain_below=calibration.abstain_below,
        training=record,
        rival=calibration.rival,
    )


def class_mix(rows: Sequence[Row]) -> dict[str, float]:
    """Share of the rows by expert, a row of several right ones a part for each: what drift is measured against."""
    mix: dict[str, float] = {}
    for row in rows:
        for label in row.labels:
            mix[label] = mix.get(label, 0.0) + 1 / len(row.labels) / len(rows)
    return {name: round(share, 4) for name, share in sorted(mix.items())}


def _tool_probability(rows: Sequence[Row]) -> float:
    """Measure how often offered tools are what the request needs (Laplace), at least .6: structure decides first."""
    offered = [row for row in rows if row.query.has_tools]
    fitting = sum(TOOL_CALLER in row.labels for row in offered)
    return max(0.6, (fitting + 1) / (len(offered) + 2)) if offered else 0.95


def report(trained: Trained, console: Console) -> None:
    """Print what every source got that was never learned from."""
    table = Table(title="the network, by source")
    table.add_column("source")
    table.add_column("accuracy, never seen", justify="right")
    if trained.held_out:
        for source, accuracy in trained.held_out.accuracy_by_source().items():
            table.add_row(source, f"{accuracy:.3f}")
        table.add_section()
        table.add_row("mean", f"{trained.held_out.macro_accuracy():.3f}")
    console.print(table)
    artifact = trained.artifact
    if trained.crossed:
        found = trained.crossed
        console.print(
            f"never seen, after abstention: {found.macro_accuracy:.3f} with {found.abstained:.1%} of rows abstained, "
            f"ECE {found.ece:.3f} (calibrated on the other sources); abstain below {artifact.abstain_below:.2f}"
        )
    console.print(f"tools, where offered, fit in {artifact.tool_probability:.3f} of the rows")


def main(arguments: Sequence[str] | None = None) -> int:
    """Train the router from seeds and labelled rows and write its artefact, or add experts to one out of examples."""
    parser = argparse.ArgumentParser(prog="python -m router.train", description=main.__doc__)
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--data", nargs="+", type=Path, default=[], help=".jsonl(.gz) files of labelled rows that judge and calibrate"
    )
    what.add_argument("--add", type=Path, metavar="FILE", help="examples of new experts: add them to an artefact")
    parser.add_argument("--seeds", type=Path, default=SEEDS_PATH, help="folder of hand-written seed files")
    parser.add_argument(
        "--readings", nargs="*", type=Path, default=[], help="unlabelled files whose labels are in readings.tsv"
    )
    parser.add_argument("--misfits", nargs="*", type=Path, default=[], help="requests whose tools do not fit (BFCL)")
    parser.add_argument("--base", type=Path, default=DEFAULT_PATH, help="for --add: the artefact to start from")
    parser.add_argument(
        "--out", type=Path, help="where to write: the shipped artefact by default; with --add a file beside FILE"
    )
    parser.add_argument("--seed", type=int, default=0, help="of every random draw")
    options = parser.parse_args(arguments)
    return run_command(parser, lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    """Read, train, tell, write."""
    if options.add:
        return add_experts(options.add, options.base, options.seeds, options.out, options.seed)
    return _train(options)


def _train(options: argparse.Namespace) -> int:
    """Train anew.

    Raises:
        DatasetError: the shipped artefact would be replaced by one that nothing has judged.
    """
    if not options.data and options.out is None:
        raise DatasetError("without --data nothing is judged or calibrated: name --out, or the files")
    console = Console()
    out = options.out or DEFAULT_PATH
    claim(out, IS_ARTIFACT)
    rows = read_rows(options.data) + read_seeds(options.seeds) + read_readings(options.readings)
    files = [
        *options.data,
        *options.readings,
        *options.misfits,
        *(sorted(options.seeds.glob("*.jsonl")) if options.seeds.is_dir() else []),
    ]
    record = {"data": {path.name: digest(path) for path in files}, "seed": options.seed}
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        trained = train(rows, Recipe(seed=options.seed, misfits=read_misfits(options.misfits), record=record), progress)
    report(trained, console)
    version = save(trained.artifact, out)
    console.print(f"{len(rows)} rows read, {BUCKETS} buckets, {len(DENSE_NAMES)} dense features")
    console.print(f"artefact {version}, {out.stat().st_size / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
