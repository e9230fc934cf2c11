"""Measures an expert's curve for `moegate plan`: step time by running sequences, prefill time by prompt length.

`python -m loadtests.engine_curve --out curve.json [--target 127.0.0.1:8001] [--expert generalist]`, with `moegate up`
running and nothing else. It goes through the gateway's gRPC door, as clients do. Prompts and answers have known
lengths: one word repeated, greedy sampling; an answer that does not run to its limit is left out. Prints a table and,
last, one JSON line: an engine of `serve.commands.plan.description`, which a plan names by `curve:`.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import json
import os
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import grpc.aio
import numpy as np

from experts.commands.messages import complain
from experts.commands.outputs import NotOurs, claim, json_with, write
from protos import chat_pb2, gateway_pb2
from protos.gateway_pb2_grpc import GatewayStub

if TYPE_CHECKING:
    from protos.gateway_pb2_grpc import GatewayAsyncStub

BATCHES: Final = (1, 2, 4, 8, 16, 24, 32)
PROMPTS: Final = (16, 48, 96, 144, 192, 240)  # tokens; each within one step
ANSWER: Final = 64
PROBES: Final = 60  # prompts sent beside others
LONG: Final = 480  # tokens of a context beside which a short one is nothing
BESIDE: Final = 4  # sequences that run while contexts are long, or prompts are sent beside them
CHUNK_TOKENS: Final = 256  # max_num_batched_tokens of the OpenVINO engine, where the catalogue does not say


@dataclass(frozen=True, slots=True)
class Answered:
    """One answer, by the client's clock."""

    ttft_s: float
    itl_s: float
    prompt_tokens: int
    completion_tokens: int
    stamps: tuple[tuple[float, int], ...]  # when a message came, and the tokens that had come with it


async def ask(stub: GatewayAsyncStub, expert: str, words: int, max_tokens: int) -> Answered:
    """Ask for one answer of up to `max_tokens` to a prompt of about `words` tokens."""
    request = gateway_pb2.GenerateRequest(
        model=expert,
        prompt="Count: " + "one two three " * (words // 3),
        sampling=chat_pb2.Sampling(max_tokens=max_tokens, temperature=0),
    )
    began = time.perf_counter()
    stamps: list[tuple[float, int]] = []
    so_far, summary = 0, None
    async for chunk in stub.Generate(request, timeout=300):
        if chunk.token_count:
            so_far += chunk.token_count
            stamps.append((time.perf_counter(), so_far))
        if chunk.HasField("summary"):
            summary = chunk.summary
    if summary is None:
        raise RuntimeError("the stream ended without its summary")
    made, (first, last) = summary.usage.completion_tokens, (stamps[0][0], stamps[-1][0])
    itl_s = (last - first) / max(made - 1, 1)
    return Answered(first - began, itl_s, summary.usage.prompt_tokens, made, tuple(stamps))


async def measure(target: str, expert: str, rounds: int, chunk_tokens: int) -> dict[str, Any]:
    """Measure both curves; returns an engine's fields, as `serve.commands.plan.description.EngineModel` reads them."""
    async with grpc.aio.insecure_channel(target) as channel:
        stub: GatewayAsyncStub = GatewayStub(channel)
        for _ in range(3):
            await ask(stub, expert, 64, 8)
        steps = {}
        for batch in BATCHES:
            steps[batch] = await step_ms(stub, expert, batch, PROMPTS[0], rounds)
            print(f"{batch:3} at once: {steps[batch]:6.2f} ms a token", file=sys.stderr)
        slow = await step_ms(stub, expert, BESIDE, LONG, rounds)
        context = max(0.0, (slow - steps[BESIDE]) / (BESIDE * (LONG - PROMPTS[0])))
        print(f"{BESIDE:3} at once, {LONG} tokens before each: {slow:6.2f} ms a token", file=sys.stderr)
        points = []
        for words in PROMPTS:
            answers = [await ask(stub, expert, words, 1) for _ in range(rounds)]
            points.append((answers[0].prompt_tokens, statistics.median(answer.ttft_s for answer in answers) * 1e3))
            print(f"{points[-1][0]:5} tokens: {points[-1][1]:7.1f} ms to the first", file=sys.stderr)
        beside_ms = statistics.median([await prompts_beside(stub, expert, steps[BESIDE]) for _ in range(rounds)])
        first_ms = await first_beside(stub, expert, steps[BESIDE])
        print(f"{points[0][0]:5} tokens: {first_ms:7.1f} ms to the first beside {BESIDE} others", file=sys.stderr)
        print(f"a prompt of {points[0][0]} tokens costs those who run {beside_ms:.1f} ms", file=sys.stderr)
    fitted = fit_prefill(points, steps[1], beside_ms)
    held = PROMPTS[0] + ANSWER / 2  # the context that the steps above had
    expected_ms = points[0][1] + steps[BESIDE] - steps[1] + steps[BESIDE] / 2  # half a step passes until its own begins
    return {
        "step_ms": {batch: round(value - context * batch * held, 3) for batch, value in steps.items()},
        "step_ms_per_context_token": round(context, 6),
        "chunk_tokens": chunk_tokens,
        **fitted,
        "busy_latency_ms": round(max(0.0, first_ms - expected_ms), 3),
    }


async def step_ms(stub: GatewayAsyncStub, expert: str, batch: int, words: int, rounds: int) -> float:
    """Return the median milliseconds between tokens of so many answers at once, while all of them run."""
    found: list[float] = []
    for _ in range(rounds):
        found += together(await asyncio.gather(*(ask(stub, expert, words, ANSWER) for _ in range(batch))))
    return statistics.median(found)


def together(answers: Sequence[Answered]) -> list[float]:
    """Return each answer's milliseconds a token from when the last of them had begun until the first one ended.

    Before, the others' prompts are prefilled beside it; afterwards there are fewer.
    """
    begin, end = max(a.stamps[0][0] for a in answers), min(a.stamps[-1][0] for a in answers)
    found = []
    for answer in answers:
        inside = [(at, made) for at, made in answer.stamps if begin <= at <= end]
        if len(inside) > 1:
            found.append((inside[-1][0] - inside[0][0]) / (inside[-1][1] - inside[0][1]) * 1e3)
    return found


async def prompts_beside(stub: GatewayAsyncStub, expert: str, step_ms: float) -> float:
    """Return the milliseconds that each of many short prompts costs those who run meanwhile, beside their own steps."""
    running = asyncio.gather(*(ask(stub, expert, 16, 2 * ANSWER) for _ in range(BESIDE)))
    await asyncio.sleep(20 * step_ms / 1e3)
    sent = 0
    while not running.done():
        await ask(stub, expert, PROMPTS[0], 1)
        sent += 1
        await asyncio.sleep(2 * step_ms / 1e3)
    answers = await running
    lost = [(answer.itl_s * 1e3 - step_ms) * (answer.completion_tokens - 1) for answer in answers]
    return statistics.median(lost) / sent


async def first_beside(stub: GatewayAsyncStub, expert: str, step_ms: float) -> float:
    """Return the median milliseconds to the first token of short prompts that come at any moment of others' steps."""
    random, is_over = np.random.default_rng(0), asyncio.Event()

    async def run() -> None:
        while not is_over.is_set():
            await ask(stub, expert, PROMPTS[0], 2 * ANSWER)

    running = asyncio.gather(*(run() for _ in range(BESIDE)))
    found = []
    for _ in range(PROBES):
        await asyncio.sleep(random.uniform(1, 3) * step_ms / 1e3)
        found.append((await ask(stub, expert, PROMPTS[0], 1)).ttft_s * 1e3)
    is_over.set()
    await running
    return statistics.median(found)


def fit_prefill(points: Sequence[tuple[int, float]], step_ms: float, beside_ms: float) -> dict[str, float]:
    """Fit what prompts cost: TTFT of one alone = latency + step + fixed + tokens x cost.

    A step reads the weights whether it decodes or begins a prompt; that it does both costs a fixed time more, which the
    first, smallest prompt shows to those who run beside it. What is left lies outside the engine: gateway, network.

    Args:
        points: prompt tokens, each within one step, and milliseconds to the first token; the smallest first.
        step_ms: of a step with one sequence.
        beside_ms: that the smallest prompt costs others.
    """
    tokens, times = np.array(points, dtype=np.float64).T
    cost, alone = np.polyfit(tokens, times, 1)
    fixed = min(max(0.0, beside_ms - cost * tokens[0]), max(0.0, alone - step_ms))
    return {
        "prefill_ms": round(float(fixed), 3),
        "prefill_ms_per_token": round(max(0.0, float(cost)), 5),
        "latency_ms": round(max(0.0, float(alone - step_ms - fixed)), 3),
    }


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", default="127.0.0.1:8001", help="the gateway's gRPC door")
    parser.add_argument("--expert", default="generalist")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--chunk-tokens", type=int, default=CHUNK_TOKENS, help="the engine's max_num_batched_tokens")
    parser.add_argument("--slots", type=int, default=32, help="the expert's max_batch_size")
    parser.add_argument("--queue", type=int, default=32, help="its max_queue_len")
    parser.add_argument("--out", type=Path, help="where the curve goes")
    options = parser.parse_args()
    try:
        if options.out:
            claim(options.out, json_with("step_ms", "prefill_ms_per_token", "source"))
    except NotOurs as error:
        complain(error)
        return 1
    curve = asyncio.run(measure(options.target, options.expert, options.rounds, options.chunk_tokens))
    today = datetime.datetime.now(datetime.UTC).date()
    where = f"{options.expert} through the gateway, {os.cpu_count()} cores, {options.rounds} rounds"
    curve |= {"slots": options.slots, "queue": options.queue, "source": f"measured {today}: {where}"}
    if options.out:
        write(options.out, json.dumps(curve, indent=1) + "\n")
    print(json.dumps(curve))
    return 0


if __name__ == "__main__":
    sys.exit(main())
