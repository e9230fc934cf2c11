"""A plan's wall time beside one call at a time: `python -m loadtests.plan_latency [--tool-ms 100]`.

Twelve calls in four levels of three, each with a tool that takes a set time, over a real gateway process and the
client that the distribution has (`moegate.client`). The expert is a mock: with `plan` it streams all calls in one
answer, what they depend on beside them; without, it says one call, is shown its result, and says the next, as an agent
does that reasons between calls. Its pace is set, too: so long to a first token, so long for each call. The same gateway
answers both, in turns.

Prints a table, and one line of JSON last: seconds of each, their ratio with a bootstrap interval over rounds, and the
plan's time over its critical path (its first answer's first level, the tools of four levels, the last words).
"""

import argparse
import asyncio
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc.aio
from rich.console import Console
from rich.table import Table

from loadtests.contestants import Upstreams, ours, roomy_catalog
from moegate.client import HttpServer, Result, Runner, Tool
from protos import chat_pb2 as chat
from protos import expert_pb2 as pb
from protos.expert_pb2_grpc import ExpertServicer, add_ExpertServicer_to_server

LEVELS: Final = 4
WIDTH: Final = 3
CALLS: Final = LEVELS * WIDTH
RESAMPLES: Final = 2000


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast the mock expert speaks: seconds to the first token, and for each call."""

    first_s: float
    call_s: float


def needs(step: int) -> list[int]:
    """List the earlier steps that a step needs, from 1: none on the first level, then one, two, or all of a level."""
    level, place = divmod(step - 1, WIDTH)
    above = [WIDTH * (level - 1) + n for n in range(1, WIDTH + 1)]
    return above[: place + 1] if level else []


class MockPlanner(ExpertServicer):
    """An expert that wants twelve calls: all at once where a plan is asked for, else one after the other."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace

    async def Generate(
        self, request: pb.GenerateRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[pb.GenerateChunk]:
        """Stream the next calls, or words once every call has its result."""
        yield pb.GenerateChunk()
        asked = request.conversation
        done = sum(message.role == chat.ROLE_TOOL for message in asked.messages)
        await asyncio.sleep(self._pace.first_s)
        steps = range(done + 1, (CALLS if asked.plan else min(done + 1, CALLS)) + 1)
        for index, step in enumerate(steps):
            await asyncio.sleep(self._pace.call_s)
            yield pb.GenerateChunk(tool_calls=[_call(index, step, is_plan=asked.plan)], token_count=20, prompt_tokens=9)
        if not steps:
            await asyncio.sleep(self._pace.call_s)
            yield pb.GenerateChunk(text="done", token_count=1, prompt_tokens=9)
        reason = chat.FINISH_REASON_TOOL_CALLS if steps else chat.FINISH_REASON_STOP
        usage = chat.Usage(prompt_tokens=9, completion_tokens=20 * len(steps) or 1)
        load = pb.Load(running=1, max_batch_size=64)
        yield pb.GenerateChunk(completion=pb.Completion(finish_reason=reason, usage=usage, load=load))

    async def Describe(
        self, request: pb.DescribeRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.DescribeResponse:
        """Say that all is well."""
        return pb.DescribeResponse(load=pb.Load(max_batch_size=64))


def _call(index: int, step: int, *, is_plan: bool) -> chat.ToolCallDelta:
    """Write a call; in a plan what it needs is referred to, otherwise the values are there."""
    of = [f"${one}.name" if is_plan else str(one) for one in needs(step)]
    arguments = json.dumps({"name": str(step), "of": of})
    call = chat.ToolCallDelta(index=index, id=f"call_{step}", name="work", arguments=arguments)
    if is_plan:
        call.depends_on.CopyFrom(chat.Dependencies(calls=needs(step)))
    return call


async def run(url: str, tool_s: float, *, is_plan: bool) -> float:
    """Carry a request out to its last words; return seconds.

    Raises:
        AssertionError: not every call was carried out with the values that it needs.
    """
    done: dict[str, list[str]] = {}

    async def work(name: str, of: list[str]) -> dict[str, str]:
        await asyncio.sleep(tool_s)
        done[name] = of
        return {"name": name}

    schema = {"type": "object", "properties": {"name": {"type": "string"}, "of": {"type": "array"}}}
    tools = [Tool("work", "Work on results", schema, work)]
    runner = Runner(HttpServer(url), tools, rounds=CALLS, model="tool-caller", **({"plan": True} if is_plan else {}))
    began = time.perf_counter()
    result: Result = await runner.run_async("Work")
    took_s = time.perf_counter() - began
    wanted = {str(step): [str(one) for one in needs(step)] for step in range(1, CALLS + 1)}
    if done != wanted or not result.is_answered:
        raise AssertionError(f"{len(done)} of {CALLS} calls were carried out as they should be")
    return took_s


def critical_s(pace: Pace, tool_s: float) -> float:
    """Return what a plan takes at least: calls begin as they come, each level after its slowest need, then words."""
    ends: list[float] = []
    for step in range(1, CALLS + 1):
        said = pace.first_s + step * pace.call_s
        ends.append(max([said, *(ends[one - 1] for one in needs(step))]) + tool_s)
    return max(ends) + pace.first_s + pace.call_s


def interval(ratios: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """Return the 95 % interval of the mean, by resampling rounds."""
    rng = random.Random(seed)
    means = sorted(statistics.fmean(rng.choices(ratios, k=len(ratios))) for _ in range(RESAMPLES))
    return means[int(0.025 * RESAMPLES)], means[int(0.975 * RESAMPLES)]


async def _measure(url: str, tool_s: float, rounds: int) -> tuple[list[float], list[float]]:
    plans, single = [], []
    for _ in range(rounds):
        plans.append(await run(url, tool_s, is_plan=True))
        single.append(await run(url, tool_s, is_plan=False))
    return plans, single


async def _serve_and_measure(options: argparse.Namespace, folder: Path) -> tuple[list[float], list[float]]:
    experts = grpc.aio.server()
    add_ExpertServicer_to_server(MockPlanner(_pace(options)), experts)
    port = experts.add_insecure_port("127.0.0.1:0")
    await experts.start()
    moegate = ours(1, roomy_catalog(folder, 64))[0]
    tree, http = await asyncio.to_thread(moegate.start, Upstreams(f"127.0.0.1:{port}", ""), folder)
    try:
        return await _measure(f"http://127.0.0.1:{http}/v1", options.tool_ms / 1e3, options.rounds)
    finally:
        await asyncio.to_thread(tree.stop)
        await experts.stop(0)


def _pace(options: argparse.Namespace) -> Pace:
    return Pace(options.first_ms / 1e3, options.call_ms / 1e3)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tool-ms", type=float, default=100.0, help="that each tool takes")
    parser.add_argument("--first-ms", type=float, default=50.0, help="to an answer's first token")
    parser.add_argument("--call-ms", type=float, default=20.0, help="that the expert takes to write a call")
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="moegate-plans-") as name:
        plans, single = asyncio.run(_serve_and_measure(options, Path(name)))
    least_s = critical_s(_pace(options), options.tool_ms / 1e3)
    ratios = [one / other for one, other in zip(plans, single, strict=True)]
    low, high = interval(ratios)
    table = Table("", "seconds, median", "smallest", "largest")
    for what, found in (("a plan", plans), ("one call at a time", single)):
        table.add_row(what, *(f"{value:.3f}" for value in (statistics.median(found), min(found), max(found))))
    Console(stderr=True).print(table)
    told = {
        "rounds": options.rounds,
        "plan_s": round(statistics.median(plans), 3),
        "one_at_a_time_s": round(statistics.median(single), 3),
        "ratio": {"value": round(statistics.fmean(ratios), 3), "ci95": [round(low, 3), round(high, 3)]},
        "critical_s": round(least_s, 3),
        "over_critical": round(statistics.median(plans) / least_s, 3),
    }
    print(json.dumps(told))
    return 0


if __name__ == "__main__":
    sys.exit(main())
