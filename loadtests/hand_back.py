"""Who is left to the words when tools are offered? `python -m loadtests.hand_back --data tests/data/router_gold.jsonl`.

Routes every row that offers tools with the shipped router. The expert that it sends tools to is asked whether one fits,
with leave to hand back, through the replica's own code and its real engine (no Ray, no gateway). An answer is given up
once it is one. Two figures count: the share of misfits (rows not labelled for the tools) that the router or the expert
leaves to the words, and the share of fits that stay with the tools.

Rows are the router's: `{messages, tools, label | labels}`. Prints a table, and one line of JSON last.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from experts.artifacts.store import ArtifactStore, default_root
from experts.catalog.spec import CatalogError, ExpertSpec, load_catalog
from experts.cluster.deployment import ExpertDeployment
from experts.compilation.prepare import FAILURES, prepare_expert
from experts.engine import EngineError
from experts.engines.factory import build_engine
from experts.engines.wire import Weights
from experts.evaluation.suites.scores import share
from loadtests.strict_schemas import NoContext
from protos import chat_pb2 as chat
from protos import expert_pb2 as pb
from router.errors import RouterError
from router.policy.decide import ExpertState
from router.router import Router
from router.training.dataset import read_json_lines
from serve.doors.json_body import parse
from serve.doors.openai_api.bodies import ChatCompletionBody
from serve.errors import InvalidRequest
from serve.routing.query import route_query

_WINDOW = 1 << 30  # tokens: no row is too long for anybody
ROUTER, HANDED_BACK, CALL, WORDS = "left by the router", "handed back", "call", "words"
LEFT = frozenset({ROUTER, HANDED_BACK})


@dataclass(frozen=True, slots=True)
class Case:
    """A row: what is asked, and whether its label says that a tool fits."""

    conversation: chat.Conversation
    fits: bool


def read_cases(path: Path, expert: str) -> list[Case]:
    """Read the rows that offer tools.

    Raises:
        RouterError: the file cannot be read.
        InvalidRequest: a row is no request.
    """
    cases = []
    for _, raw in read_json_lines(path):
        if raw.get("tools"):
            body = {"messages": raw["messages"], "tools": raw["tools"]}
            asked = parse(ChatCompletionBody, json.dumps(body).encode()).to_input()
            cases.append(Case(asked, expert in (raw.get("labels") or [raw.get("label")])))
    return cases


async def ask(replica: ExpertDeployment, conversation: chat.Conversation) -> str:
    """Ask the expert until it is told what its answer is."""
    request = pb.GenerateRequest(conversation=conversation, request_id="hand-back", may_hand_back=True)
    begun = ""
    stream = replica.Generate(request, NoContext())
    try:
        async for chunk in stream:
            begun += chunk.text
            if chunk.completion.handed_back:
                return HANDED_BACK
            if chunk.tool_calls:
                return CALL
            if begun.strip():
                return WORDS
    finally:
        await stream.aclose()
    return WORDS


async def outcomes(spec: ExpertSpec, weights: Weights, cases: Sequence[Case]) -> list[str]:
    """Say what becomes of each case: as many at once as the engine batches.

    Raises:
        EngineError: the engine cannot start, or failed on the way.
    """
    router = Router.load()
    states = [ExpertState(name, _WINDOW, True, 0, 1, 0.0) for name in router.gate.experts]
    engine = build_engine(spec, weights)
    replica = ExpertDeployment(spec, lambda _: engine)
    await replica.check_health()
    slots = asyncio.Semaphore(spec.max_batch_size)

    async def one(case: Case) -> str:
        if router.route(route_query(case.conversation), states).expert != spec.name:
            return ROUTER
        async with slots:
            return await ask(replica, case.conversation)

    try:
        return await asyncio.gather(*map(one, cases))
    finally:
        await engine.stop()


def figures(cases: Sequence[Case], found: Sequence[str]) -> dict[str, Any]:
    """Count; a group without rows has no figure."""
    result: dict[str, Any] = {"n": len(cases)}
    for name, fits in (("misfits", False), ("fits", True)):
        told = Counter(outcome for case, outcome in zip(cases, found, strict=True) if case.fits is fits)
        if n := told.total():
            left = sum(told[outcome] for outcome in LEFT)
            right = n - left if fits else left
            result[name] = share(right, n).as_dict() | {"outcomes": dict(told)}
    return result


def report(found: dict[str, Any], console: Console) -> None:
    """Print a line for each group."""
    table = Table(
        "rows", "n", "right", "95 % interval", ROUTER, HANDED_BACK, CALL, WORDS, title="tools that are offered"
    )
    for name in ("misfits", "fits"):
        if group := found.get(name):
            low, high = group["ci95"]
            counts = (str(group["outcomes"].get(outcome, 0)) for outcome in (ROUTER, HANDED_BACK, CALL, WORDS))
            table.add_row(name, str(group["n"]), f"{group['value']:.3f}", f"{low:.3f} .. {high:.3f}", *counts)
    console.print(table)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; return the exit status."""
    options = _parse(arguments)
    errors = Console(stderr=True)
    try:
        spec = load_catalog(options.catalog).get(options.expert)
        if spec is None or not spec.hands_back:
            raise CatalogError(f"no expert {options.expert} hands back")
        cases = read_cases(options.data, spec.name)[: options.limit]
        store = ArtifactStore(default_root())
        given: Path | None = options.artifact
        artifact = prepare_expert(spec, "cpu", store) if given is None else store.adopt(given.resolve(strict=True))
        found = asyncio.run(outcomes(spec, Weights(str(artifact.path), artifact.sha256), cases))
    except (*FAILURES, CatalogError, EngineError, InvalidRequest, RouterError, OSError) as error:
        errors.print(f"error: {error}", style="red", markup=False)
        return 1
    result = figures(cases, found)
    report(result, Console())
    print(json.dumps({"expert": spec.name, "data": options.data.name, **result}))
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests.hand_back", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("expert", metavar="EXPERT", nargs="?", default="tool-caller", help="out of the catalogue")
    parser.add_argument("--data", type=Path, required=True, metavar="FILE", help="rows, .jsonl or .jsonl.gz")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N rows that offer tools")
    parser.add_argument("--artifact", type=Path, metavar="FILE", help="these weights (GGUF) instead of the expert's")
    parser.add_argument("--catalog", type=Path, help="the catalogue (default: the shipped one)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
