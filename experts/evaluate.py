"""Measures an expert on a task: `python -m experts.evaluate EXPERT --suite SUITE --data FILE [--base] [--json]`.

Every row goes through the artefact and the engine that serve, greedily, with the expert's own system prompt. `--base`
asks the base without its adapter the same. With `--gateway URL --model auto|EXPERT` in place of EXPERT the rows go
through a running gateway, over HTTP. Prints a table; `--json` adds one JSON line. Every score has its n and its
95 % interval.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from experts.artifacts.store import ArtifactStore, default_root
from experts.catalog.spec import CatalogError, ExpertSpec, load_catalog
from experts.commands.messages import INTERRUPTED, complain
from experts.commands.outputs import NotOurs, claim, json_lines_with, json_with, write
from experts.commands.progress import progress_bar
from experts.compilation.prepare import FAILURES, prepare_expert
from experts.engine import Engine, EngineDead
from experts.engines.factory import UnsupportedEngine, build_engine
from experts.engines.wire import Weights
from experts.evaluation.engine_client import Answer, greedy
from experts.evaluation.gateway_client import GatewayClient, GatewayUnavailable
from experts.evaluation.suites.known import SUITES
from experts.evaluation.suites.rows import RowError, read_rows, sample
from experts.evaluation.suites.scores import Score, Verdict, summarise
from experts.evaluation.suites.suite import Case, Suite
from experts.evaluation.through_engine import answer_cases, facts
from experts.evaluation.through_gateway import add_gateway_arguments, ask_cases


@dataclass(frozen=True, slots=True)
class Measured:
    """Who was measured: its name and variant, all answers, and what the JSON line says beside the scores."""

    name: str
    variant: str
    answers: Sequence[Answer]
    facts: Mapping[str, Any]


def judge_all(suite: Suite, cases: Sequence[Case], answers: Sequence[Answer], console: Console) -> list[Verdict]:
    """Judge every answer."""
    pairs = list(zip(cases, answers, strict=True))
    with progress_bar(console) as progress:
        return [suite.judge(case, answer.reply) for case, answer in progress.track(pairs, description="verdicts")]


def report(title: str, scores: Mapping[str, Score], known: Mapping[str, Any], console: Console) -> None:
    """Print the table."""
    measured = known["measured"]
    table = Table(title=title)
    for column in ("score", "value", "95 % interval", "n"):
        table.add_column(column, justify="left" if column == "score" else "right")
    for name, score in scores.items():
        table.add_row(name, f"{score.value:.3f}", f"{score.low:.3f} .. {score.high:.3f}", str(score.n))
    console.print(table)
    console.print(
        f"tokens a row: {measured['prompt_tokens']} in, {measured['completion_tokens']} out; "
        f"ended by {measured['finish']}; {measured['wall_s']} s, {measured['batch_tokens_per_s']} tokens/s"
    )
    if "experts" in known:
        ttft = known["ttft_ms"]
        console.print(
            f"answered by {known['experts']}; USD {known['usd_per_1000']} per 1,000; "
            f"first token p50 {ttft['p50']} ms, p90 {ttft['p90']} ms"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluate one expert; return the exit status."""
    options = _parse(arguments)
    errors = Console(stderr=True)
    try:
        _claim(options)
        result = run(options, errors)
        if options.out:
            write(options.out, json.dumps(result, indent=1) + "\n")
    except (*FAILURES, UnsupportedEngine, GatewayUnavailable, RowError, EngineDead, NotOurs, OSError) as error:
        complain(error)
        return 1
    except ImportError as error:
        complain(f"{error.name} is missing; --reference needs it: pip install 'moegate[train]'")
        return 1
    except KeyboardInterrupt:
        complain("stopped; nothing was written")
        return INTERRUPTED
    if options.json:
        print(json.dumps(result))
    return 0


def _claim(options: argparse.Namespace) -> None:
    if options.out:
        claim(options.out, json_with("expert", "suite", "scores", "measured"))
    if options.answers:
        claim(options.answers, json_lines_with("id", "answer", "finish", "verdict"))


def run(options: argparse.Namespace, errors: Console) -> dict[str, Any]:
    """Do what the command line says; return the JSON line's object."""
    suite = SUITES[options.suite]()
    spec = None if options.gateway else choose(options)
    rows = read_rows(options.data)
    cases = [suite.read(row, index) for index, row in sample(list(enumerate(rows)), options.limit, options.seed)]
    if not cases:
        raise RowError(f"{options.data}: there are no rows")
    made = through_engine(spec, options, cases, errors) if spec else through_gateway(options, cases, errors)
    verdicts = judge_all(suite, cases, made.answers, errors)
    scores = summarise(verdicts, options.seed)
    scores |= suite.overall(cases, [answer.reply for answer in made.answers], options.seed)
    if options.answers:
        write_answers(options.answers, cases, made.answers, verdicts)
    picked = f"{len(cases)} of {len(rows)} rows (seed {options.seed})"
    report(f"{made.name} ({made.variant}) on {options.suite}: {picked}", scores, made.facts, Console())
    return {
        "expert": made.name,
        "suite": options.suite,
        "n": len(cases),
        "scores": {name: score.as_dict() for name, score in scores.items()},
        "variant": made.variant,
        "data": {"file": options.data.name, "rows": len(rows), "seed": options.seed},
        **made.facts,
    }


def through_engine(spec: ExpertSpec, options: argparse.Namespace, cases: Sequence[Case], errors: Console) -> Measured:
    """Ask the expert's engine, without Ray and gRPC."""
    weights = None if options.reference else find_weights(spec, options.artifact)
    engine = build_reference(spec) if options.reference else build_engine(spec, weights)
    sampling = greedy(spec, options.max_tokens)
    made = asyncio.run(answer_cases(engine, spec, cases, sampling, options.alone, errors))
    known = {
        "artifact": {"sha256": weights.sha256, "bytes": Path(weights.path).stat().st_size} if weights else None,
        "max_tokens": sampling.max_tokens,
        "measured": facts(made),
    }
    return Measured(spec.name, name_variant(spec, options), made.answers, known)


def through_gateway(options: argparse.Namespace, cases: Sequence[Case], errors: Console) -> Measured:
    """Ask a running gateway over HTTP."""
    client = GatewayClient(options.gateway, options.api_key)
    made = ask_cases(client, options.model, cases, options.in_flight, options.max_tokens, errors)
    answers = [served.answer for served in made.served]
    return Measured(options.model, options.variant or "gateway", answers, made.facts())


def choose(options: argparse.Namespace) -> ExpertSpec:
    """Return the expert's entry; for the base, and for a given artefact, without its adapter.

    Raises:
        CatalogError: there is no such expert.
    """
    catalog = load_catalog(options.catalog)
    spec = catalog.get(options.expert)
    if spec is None:
        raise CatalogError(f"no such expert: {options.expert}; there are {', '.join(catalog.names)}")
    changes: dict[str, Any] = {"max_batch_size": options.batch or spec.max_batch_size}
    if options.base or options.artifact or options.adapter:
        changes["adapter"] = None if options.adapter is None else str(options.adapter)
    return spec.model_copy(update=changes)


def find_weights(spec: ExpertSpec, artifact: Path | None) -> Weights | None:
    """Find or make what the engine loads; None for an engine without weights.

    Raises:
        BaseUnavailable: there is no such file, or the expert cannot be made.
        ArtifactCorrupt: a cached file was damaged.
    """
    if not spec.has_weights:
        return None
    store = ArtifactStore(default_root())
    if artifact is None:
        found = prepare_expert(spec, "neuron" if spec.engine == "neuron" else "cpu", store)
    else:
        found = store.adopt(artifact.resolve(strict=True))
    return Weights(str(found.path), found.sha256)


def build_reference(spec: ExpertSpec) -> Engine:
    """Build the engine that computes in float32 by transformers; it loads nothing before its `start`."""
    from experts.evaluation.reference import ReferenceEngine  # noqa: PLC0415  # needs the [train] extra

    return ReferenceEngine(spec, ArtifactStore(default_root()))


def name_variant(spec: ExpertSpec, options: argparse.Namespace) -> str:
    """Name what was measured: as given, else a file's name, `base` or `adapter`, and by what if not the engine."""
    if options.variant:
        return str(options.variant)
    if options.artifact or options.adapter:
        return Path(options.artifact or options.adapter).name
    weights = "base" if spec.adapter is None else "adapter"
    return f"{weights}, float32 by transformers" if options.reference else weights


def write_answers(path: Path, cases: Sequence[Case], answers: Sequence[Answer], verdicts: Sequence[Verdict]) -> None:
    """Write every answer and its verdict, a JSON line each: for reading, never for a log."""
    lines = (
        {"id": case.name, "answer": answer.reply.text, "finish": str(answer.finish), "verdict": dict(verdict)}
        for case, answer, verdict in zip(cases, answers, verdicts, strict=True)
    )
    write(path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m experts.evaluate", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("expert", metavar="EXPERT", nargs="?", help="out of the catalogue; not with --gateway")
    parser.add_argument("--suite", choices=sorted(SUITES), required=True)
    parser.add_argument("--data", type=Path, required=True, help="rows, .jsonl or .jsonl.gz")
    parser.add_argument("--limit", type=int, metavar="N", help="only N rows, drawn with the seed")
    parser.add_argument("--base", action="store_true", help="the untouched base, with the same system prompt")
    other = parser.add_mutually_exclusive_group()
    other.add_argument("--artifact", type=Path, metavar="FILE", help="these weights (GGUF) instead of the expert's")
    other.add_argument("--adapter", metavar="FOLDER", help="this adapter (or moegate:NAME) instead of the expert's")
    other.add_argument(
        "--reference", action="store_true", help="float32 by transformers instead of the engine (needs [train])"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON line last")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the result for experts.select (JSON)")
    parser.add_argument("--answers", type=Path, metavar="FILE", help="write every answer and verdict (JSON lines)")
    parser.add_argument("--variant", help="what to call it in reports (default: base, adapter or the file's name)")
    parser.add_argument("--max-tokens", type=int, metavar="N", help="of one answer (default: the expert's)")
    parser.add_argument("--batch", type=int, metavar="N", help="sequences at once (default: the expert's)")
    parser.add_argument("--alone", type=int, default=0, metavar="N", help="also time N rows one by one, for select")
    parser.add_argument("--seed", type=int, default=0, help="of the sample and of the bootstrap")
    parser.add_argument("--catalog", type=Path, help="the catalogue (default: the shipped one)")
    add_gateway_arguments(parser)
    options = parser.parse_args(arguments)
    if bool(options.expert) == bool(options.gateway):
        parser.error("name an EXPERT, or a --gateway and its --model")
    return options


if __name__ == "__main__":
    sys.exit(main())
