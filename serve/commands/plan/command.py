"""`moegate plan FILE`: simulates, prints the table and the origin of the curves, writes pictures and JSON if asked."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import orjson
from rich.console import Console

from serve.commands.plan.alternatives import compare
from serve.commands.plan.description import Plan, load_plan
from serve.commands.plan.pictures import draw
from serve.commands.plan.report import Result
from serve.commands.plan.table import decision, table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""
    parser.add_argument("file", type=Path, help="what to simulate, as deploy/plan.yaml")
    parser.add_argument("--json", action="store_true", help="one JSON line in place of a table")
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help="write PNGs there")
    parser.set_defaults(command=plan)


def plan(arguments: argparse.Namespace) -> None:
    """Do what the command line says.

    Raises:
        PlanError: the description cannot be used.
    """
    described = load_plan(arguments.file)
    results = compare(described)
    paths = draw(results, arguments.pictures) if arguments.pictures else []
    if arguments.json:
        print(orjson.dumps([result.as_dict() for result in results]).decode())
        return
    console = Console(highlight=False)
    console.print(table(results))
    if len(results) > 1:
        console.print(decision(results))
    for line in _explained(described, results):
        console.print(line, soft_wrap=True)
    for path in paths:
        console.print(f"wrote {path}", soft_wrap=True)


def _explained(described: Plan, results: Sequence[Result]) -> Iterator[str]:
    """Say what ran, and where every figure comes from that the simulation did not make."""
    for result in results:
        if result.instances:
            out, instances = result.outcome, ", ".join(f"{n:.1f} {name}" for name, n in result.instances.items())
            yield (
                f"{result.title}: {len(result.requests)} requests on {instances}; {out.refused} refused, "
                f"{len(out.cold)} answered by the default expert while theirs was cold, {out.restarted} begun again "
                "after a lost instance"
            )
        if result.quality is not None:
            yield f"quality of {result.title}: n {result.quality.n}; {result.quality.source}"
    if unknown := [result.title for result in results if result.quality is None]:
        yield (
            f"quality: nobody has measured it for {', '.join(unknown)}: python -m experts.evaluate --gateway URL "
            "--suite S --data FILE on your requests, then `quality:` in the description"
        )
    for name, engine in described.engines.items():
        yield f"engine {name}: {engine.source}"
    for title, other in described.alternatives.items():
        if other.api is not None:
            yield f"{title}: {other.api.source}"
