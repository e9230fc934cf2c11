"""`python -m router.evaluate`: how good the shipped router is on given rows, or on recorded outcomes of two tiers.

`--data` routes every row as the gateway would and compares with its labels, `--held-out` does so with prompts that were
labelled by reading (see `router.training.readings`), and `--outcomes` cross-validates a weak-or-strong choice (see
`outcomes`). A table for people; with `--json` one JSON line last, for scripts.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from router.commands.messages import run_command
from router.commands.outputs import IsOurs, claim_all, json_with, signed_picture
from router.decision import Reason, RouteDecision
from router.evaluation import baselines
from router.model.gate import TOOL_CALLER
from router.policy.decide import ExpertState
from router.router import Router
from router.training.calibrate_knob import halves
from router.training.calibration import ece_by_chance, expected_calibration_error
from router.training.dataset import Row, read_rows, source_weights
from router.training.heads import Bools, Doubles
from router.training.readings import read_held_out
from router.training.tradeoff import curve_of, field_of, fit_table, read_prices, reference_prices, states_of

REPORT: dict[str, IsOurs] = dict.fromkeys(
    ("reliability.png", "confusion.png", "risk_coverage.png", "cost_quality.png"), signed_picture
)
OUTCOMES_REPORT: dict[str, IsOurs] = {"outcomes.png": signed_picture, "outcomes.json": json_with("n", "apgr")}
CONTEXT_WINDOW = 1 << 30  # evaluation judges words; no row may be moved for its length


@dataclass(frozen=True, slots=True)
class Scores:
    """The router on labelled rows, and each baseline's mean over sources.

    Attributes:
        ece: expected calibration error of the chosen expert's probability, rows counting the same.
        by_source: the same with sources counting the same, and the accuracy of the surest 80 % of the rows either way.
    """

    n: int
    macro_accuracy: float
    micro_accuracy: float
    ece: float
    by_source: dict[str, float]
    abstained: float
    per_source: dict[str, dict[str, float]]
    latency_us: dict[str, float]
    baselines: dict[str, float]

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON line's object."""
        return {name: getattr(self, name) for name in self.__slots__}


def evaluate(router: Router, rows: Sequence[Row], others: dict[str, baselines.Choose]) -> Scores:
    """Route all rows, one by one, with every expert healthy and idle."""
    states = [ExpertState(name, CONTEXT_WINDOW, True, 0, 1, 0.0) for name in router.gate.experts]
    decisions = [router.route(row.query, states) for row in rows]
    hits = np.array([made.expert in row.labels for made, row in zip(decisions, rows, strict=True)])
    sources = np.array([row.source for row in rows])
    confidence = np.array([made.confidence for made in decisions])
    per_source = {
        str(name): _of_source(confidence[sources == name], hits[sources == name]) for name in np.unique(sources)
    }
    weight = source_weights(sources)
    return Scores(
        n=len(rows),
        macro_accuracy=float(np.mean([found["accuracy"] for found in per_source.values()])),
        micro_accuracy=float(hits.mean()),
        ece=expected_calibration_error(confidence, hits),
        by_source={
            "ece": expected_calibration_error(confidence, hits, weight),
            "accuracy_at_80": _surest(confidence, hits, weight),
            "accuracy_at_80_of_rows": _surest(confidence, hits, np.ones(len(hits))),
        },
        abstained=float(np.mean([made.reason is Reason.ABSTAINED for made in decisions])),
        per_source=per_source,
        latency_us=_latency(decisions),
        baselines={name: _macro(baselines.accuracy_by_source(choose, rows)) for name, choose in others.items()},
    )


def _of_source(confidence: Doubles, hits: Bools) -> dict[str, float]:
    """Score one source's rows."""
    return {
        "n": len(hits),
        "accuracy": float(hits.mean()),
        "ece": expected_calibration_error(confidence, hits),
        "ece_by_chance": ece_by_chance(confidence),
    }


def _surest(confidence: Doubles, hits: Bools, weight: Doubles, coverage: float = 0.8) -> float:
    """Measure the accuracy of the surest share of the rows, by weight."""
    order = np.argsort(-confidence, kind="stable")
    kept = np.cumsum(weight[order]) <= coverage * weight.sum() + 1e-9
    return float(np.average(hits[order][kept], weights=weight[order][kept])) if kept.any() else 0.0


def _latency(decisions: Sequence[RouteDecision]) -> dict[str, float]:
    """Summarise the router's own time, one decision at a time on this machine, in microseconds."""
    times = np.array([made.route_s for made in decisions]) * 1e6
    p50, p99 = np.percentile(times, [50, 99])
    return {"p50": round(float(p50), 1), "p99": round(float(p99), 1), "max": round(float(times.max()), 1)}


def _macro(by_source: dict[str, float]) -> float:
    """Average over sources."""
    return float(np.mean(list(by_source.values())))


def report(scores: Scores, console: Console) -> None:
    """Print the tables."""
    table = Table(title=f"router on {scores.n} rows")
    table.add_column("source")
    for title in ("rows", "accuracy", "ECE", "by chance"):
        table.add_column(title, justify="right")
    for source, found in scores.per_source.items():
        shown = [f"{found[name]:.3f}" for name in ("accuracy", "ece", "ece_by_chance")]
        table.add_row(source, str(int(found["n"])), *shown)
    table.add_section()
    table.add_row("mean over sources", "", f"{scores.macro_accuracy:.3f}")
    table.add_row("mean over rows", "", f"{scores.micro_accuracy:.3f}")
    table.add_section()
    for name, value in scores.baselines.items():
        table.add_row(f"{name} (mean over sources)", "", f"{value:.3f}")
    console.print(table)
    same = scores.by_source
    console.print(
        f"ECE {scores.ece:.3f} over rows, {same['ece']:.3f} over sources; accuracy at 80 % coverage "
        f"{same['accuracy_at_80_of_rows']:.3f} over rows, {same['accuracy_at_80']:.3f} over sources; "
        f"abstained {scores.abstained:.1%}"
    )
    console.print("decision time " + ", ".join(f"{name} {value:.0f} µs" for name, value in scores.latency_us.items()))


def _run_data(options: argparse.Namespace, console: Console, clock: Callable[[], float]) -> dict[str, Any]:
    """Evaluate on labelled rows."""
    router = Router.load(options.artifact, clock)
    rows = read_rows(options.data) if options.data else read_held_out(options.held_out)
    experts = (*router.gate.artifact.classes, TOOL_CALLER)
    others: dict[str, baselines.Choose] = {
        "random": baselines.random_choice(experts, options.seed),
        "majority of these rows": baselines.majority(rows),
        "prompt length": baselines.prompt_length,
        "keyword rules": baselines.keywords,
    }
    if options.train:
        others["TF-IDF + LR"] = baselines.TfidfBaseline.fit(read_rows(options.train), options.seed)
    scores = evaluate(router, rows, others)
    report(scores, console)
    if options.report:
        _draw(router, rows, options, console)
    return scores.as_dict()


def _draw(router: Router, rows: Sequence[Row], options: argparse.Namespace, console: Console) -> None:
    """Write the report's diagrams."""
    from router.evaluation import figures  # noqa: PLC0415 - needs matplotlib

    default = router.gate.artifact.default_expert
    prices = read_prices(options.prices) if options.prices else reference_prices(router.gate.experts, default)
    named = options.prices.name if options.prices else f"an example, {default} 1, every other expert 4"
    states = states_of(router.gate.experts, prices)
    policy = router.policy
    judged = figures.Judged(
        chosen=tuple(router.route(row.query, states).expert for row in rows),
        labels=tuple(row.labels for row in rows),
        **_sureness(router, rows),
    )
    field = field_of(router.gate, rows, states, policy.objective.knob, policy.abstain_below)
    fitted, held = halves([str(at) for at in range(len(rows))], options.seed)
    knob = replace(policy.objective.knob, table=fit_table(field.part(fitted)))
    for path in figures.write_report(judged, curve_of(field.part(held), knob, options.seed), named, options.report):
        console.print(f"wrote {path}", markup=False, soft_wrap=True)


def _sureness(router: Router, rows: Sequence[Row]) -> dict[str, Any]:
    """Return the best expert's probability and whether it is acceptable, (n,) each, abstention aside."""
    found = [router.gate.by_expert(row.query) for row in rows]
    best = [max(one, key=lambda name: one[name]) for one in found]
    return {
        "confidence": np.array([one[name] for one, name in zip(found, best, strict=True)]),
        "right": np.array([name in row.labels for name, row in zip(best, rows, strict=True)]),
    }


def _run_outcomes(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Cross-validate the weak-or-strong choice."""
    from router.evaluation import outcomes  # noqa: PLC0415 - needs scikit-learn, which --data does not

    data = outcomes.read(options.outcomes, options.weak, options.strong)
    if options.transfer:
        found = outcomes.transfer(data, outcomes.read(options.transfer, options.weak, options.strong), options.seed)
    else:
        found = outcomes.evaluate(data, options.seed)
    outcomes.report(found, console)
    if options.report:
        from router.evaluation.figures import write_outcomes  # noqa: PLC0415 - needs matplotlib

        write_outcomes(found, options.report)
    return found.as_dict()


def main(arguments: Sequence[str] | None = None, clock: Callable[[], float] = time.perf_counter) -> int:
    """Measure the router on labelled rows, or a tier choice on recorded outcomes."""
    parser = argparse.ArgumentParser(prog="python -m router.evaluate", description=main.__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--data", nargs="+", type=Path, help="rows {source, messages, tools?, label | labels}")
    what.add_argument("--held-out", nargs="+", type=Path, help="prompts whose labels are in held_out.tsv")
    what.add_argument("--outcomes", type=Path, help="rows {prompt, weak, strong}; 5-fold cross-validation")
    parser.add_argument("--transfer", type=Path, help="train on --outcomes whole, test on this file")
    parser.add_argument("--weak", "--weak-column", default="weak", help="column of the weak model's outcome")
    parser.add_argument("--strong", "--strong-column", default="strong", help="column of the strong model's outcome")
    parser.add_argument("--train", nargs="+", type=Path, help="rows to train the TF-IDF baseline on")
    parser.add_argument("--artifact", type=Path, help="the artefact to measure; the shipped one by default")
    parser.add_argument("--report", type=Path, metavar="DIR", help="write diagrams (PNG) into this folder")
    parser.add_argument("--prices", type=Path, help="for the report's cost: as `router.calibrate` takes them")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON line last")
    options = parser.parse_args(arguments)

    def work() -> int:
        console = Console()
        if options.report:
            claim_all(options.report, OUTCOMES_REPORT if options.outcomes else REPORT)
        found = _run_outcomes(options, console) if options.outcomes else _run_data(options, console, clock)
        if options.json:
            print(json.dumps(found))
        return 0

    return run_command(parser, work)


if __name__ == "__main__":
    raise SystemExit(main())
