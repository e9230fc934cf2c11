"""Do strict answers keep schema and values? `python -m loadtests.strict_schemas EXPERT [--pairs N]`.

Draws pairs of a schema and a value that follows it, and asks the expert to repeat the value at temperature 0, through
the replica's own code and its real engine (no Ray, no gateway). The `jsonschema` package judges. Two figures count: all
answers that are presented as a success must validate, and nearly all must be the unchanged value.

Pairs depend only on the seed and their number. With `--out` each answer is kept as a line of JSON, and pairs that are
there already are not asked again. Prints a table, and one line of JSON last.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, TextIO

import grpc
from jsonschema import Draft202012Validator
from rich.console import Console
from rich.table import Table

from experts.artifacts.store import ArtifactStore, default_root
from experts.catalog.spec import CatalogError, ExpertSpec, load_catalog
from experts.cluster.deployment import ExpertDeployment
from experts.commands.messages import complain
from experts.commands.outputs import NotOurs, claim, json_lines_with
from experts.compilation.prepare import FAILURES, prepare_expert
from experts.engine import EngineError
from experts.engines.factory import build_engine
from experts.engines.wire import Weights
from loadtests.schema_pairs import Pair, draw_pair
from protos import chat_pb2 as chat
from protos import expert_pb2 as pb

_HELD = frozenset({chat.FORM_OUTCOME_OK, chat.FORM_OUTCOME_SECOND_ATTEMPT})


@dataclass(frozen=True, slots=True)
class Result:
    """What came back for one pair."""

    number: int
    kind: str
    is_success: bool  # presented as one
    is_valid: bool
    is_unchanged: bool
    outcome: str  # the replica's verdict, or the slug of its refusal
    text: str


class NoContext:
    """Stands for Ray's call context."""

    def set_code(self, code: grpc.StatusCode) -> None:
        """Take a status."""

    def set_details(self, details: str) -> None:
        """Take its text."""

    def invocation_metadata(self) -> Sequence[tuple[str, str | bytes]]:
        """Return no metadata."""
        return ()


def request_for(pair: Pair, max_tokens: int) -> pb.GenerateRequest:
    """Ask for the pair's value, held to its schema."""
    wanted = chat.ResponseFormat(
        type=chat.ResponseFormat.TYPE_JSON_SCHEMA,
        schema_json=json.dumps(pair.schema, ensure_ascii=False, separators=(",", ":")),
        strict=True,
    )
    words = f"Repeat exactly this JSON: {json.dumps(pair.value, ensure_ascii=False)}"
    conversation = chat.Conversation(
        messages=[chat.Message(role=chat.ROLE_USER, content=words)], response_format=wanted
    )
    sampling = chat.Sampling(temperature=0, max_tokens=max_tokens)
    return pb.GenerateRequest(conversation=conversation, sampling=sampling, request_id="strict", whole=True)


async def answer_to(replica: ExpertDeployment, request: pb.GenerateRequest) -> tuple[str, pb.Completion]:
    """Collect one answer.

    Raises:
        EngineError: there is none.
    """
    text, end = "", pb.Completion()
    async for chunk in replica.Generate(request, NoContext()):
        text += chunk.text
        end.MergeFrom(chunk.completion)
    return text, end


async def ask(replica: ExpertDeployment, pair: Pair, max_tokens: int) -> Result:
    """Ask for one pair and judge the answer."""
    try:
        text, end = await answer_to(replica, request_for(pair, max_tokens))
    except EngineError as error:
        return Result(pair.number, pair.kind, False, False, False, error.slug, str(error))
    answer = _read(text)
    is_valid = answer is not _NO_JSON and bool(Draft202012Validator(pair.schema).is_valid(answer))
    return Result(
        number=pair.number,
        kind=pair.kind,
        is_success=end.form in _HELD and end.finish_reason == chat.FINISH_REASON_STOP,
        is_valid=is_valid,
        is_unchanged=answer == pair.value,
        outcome=chat.FormOutcome.Name(end.form).removeprefix("FORM_OUTCOME_").lower(),
        text=text,
    )


_NO_JSON: Final = object()


def _read(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return _NO_JSON


async def ask_all(
    spec: ExpertSpec,
    weights: Weights,
    pairs: Iterable[Pair],
    out: TextIO | None,
    *,
    max_tokens: int,
) -> list[Result]:
    """Ask for every pair, as many at once as the engine batches; each result goes to `out` as it comes.

    Raises:
        EngineDead: the engine cannot start, or failed on the way.
    """
    engine = build_engine(spec, weights)
    replica = ExpertDeployment(spec, lambda _: engine)
    await replica.check_health()
    slots = asyncio.Semaphore(spec.max_batch_size)

    async def one(pair: Pair) -> Result:
        async with slots:
            result = await ask(replica, pair, max_tokens)
        if out is not None:
            out.write(json.dumps(asdict(result)) + "\n")
            out.flush()
        return result

    try:
        return await asyncio.gather(*map(one, pairs))
    finally:
        await engine.stop()


def figures(results: Sequence[Result]) -> dict[str, Any]:
    """Count what is promised; `invalid_successes` must be 0."""
    successes = [result for result in results if result.is_success]
    return {
        "pairs": len(results),
        "successes": len(successes),
        "invalid_successes": sum(not result.is_valid for result in successes),
        "unchanged": sum(result.is_unchanged for result in results),
        "unchanged_share": round(sum(result.is_unchanged for result in results) / max(1, len(results)), 4),
        "second_attempts": sum(result.outcome == "second_attempt" for result in results),
    }


def report(results: Sequence[Result], console: Console) -> None:
    """Print a line for each kind of schema."""
    table = Table("kind", "pairs", "successes", "of them invalid", "unchanged", title="strict answers")
    for kind in [*sorted({result.kind for result in results}), None]:
        of_kind = figures([result for result in results if kind in (None, result.kind)])
        names = ("pairs", "successes", "invalid_successes", "unchanged")
        table.add_row(kind or "all", *(str(of_kind[name]) for name in names))
    console.print(table)
    for result in results:
        if not result.is_unchanged:
            console.print(f"{result.number} {result.kind} {result.outcome}: {result.text[:100]!r}", markup=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; return the exit status: 0 where both promises hold."""
    options = _parse(arguments)
    spec = load_catalog(options.catalog).get(options.expert)
    if spec is None:
        complain(f"no such expert: {options.expert}")
        return 2
    try:
        done = _kept(options.out) if options.out else {}
    except NotOurs as error:
        complain(error)
        return 1
    pairs = [draw_pair(options.seed, number) for number in range(options.pairs)]
    began_s = time.perf_counter()
    try:
        artifact = prepare_expert(spec, "cpu", ArtifactStore(default_root()))
        out = options.out.open("a", encoding="utf-8") if options.out else None
        missing = [pair for pair in pairs if pair.number not in done]
        weights = Weights(str(artifact.path), artifact.sha256)
        asking = ask_all(spec, weights, missing, out, max_tokens=options.max_tokens)
        fresh = asyncio.run(asking)
    except (*FAILURES, CatalogError, EngineError, OSError) as error:
        complain(error)
        return 1
    known = done | {result.number: result for result in fresh}
    results = [known[pair.number] for pair in pairs]
    report(results, Console())
    found = figures(results)
    wall_s = round(time.perf_counter() - began_s, 1)
    print(json.dumps({"expert": spec.name, "seed": options.seed, **found, "asked": len(fresh), "wall_s": wall_s}))
    return 0 if not found["invalid_successes"] and found["unchanged_share"] >= options.least else 3


def _kept(path: Path) -> dict[int, Result]:
    """Read the answers of an earlier run, to which this one adds.

    Raises:
        NotOurs: the file is something else.
    """
    claim(path, json_lines_with(*Result.__slots__))
    if not path.exists():
        return {}
    lines = [Result(**json.loads(line)) for line in path.read_text("utf-8").splitlines()]
    return {result.number: result for result in lines}


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.strict_schemas", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("expert", metavar="EXPERT", nargs="?", default="generalist", help="out of the catalogue")
    parser.add_argument("--pairs", type=int, default=2_000, metavar="N")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--max-tokens", type=int, default=200, metavar="N", help="of one answer, both attempts together"
    )
    parser.add_argument("--least", type=float, default=0.99, metavar="SHARE", help="of values that come back unchanged")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="keep each answer (JSON lines); what is there is not asked again"
    )
    parser.add_argument("--catalog", type=Path, help="the catalogue (default: the shipped one)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
