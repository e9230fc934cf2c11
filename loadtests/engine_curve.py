"""Measure an expert's curve for `moegate plan`: step time by running sequences, prefill time by prompt length.

`python -m loadtests.engine_curve --out curve.json [--target 127.0.0.1:8001] [--expert generalist]`, with `moegate up`
running and nothing else. Through the gateway's gRPC door, as clients see it. Prompts and answers are of known length:
one word repeated, sampling greedy, so an answer runs to its limit or is left out. Prints a table and, last, one JSON
line: an engine of `serve.plan.description`, to be named by `curve:` in a plan.
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

from protos import chat_pb2, gateway_pb2
from protos.gateway_pb2_grpc import GatewayStub

if TYPE_CHECKING:
    from protos.gateway_pb2_grpc import GatewayAsyncStub

BATCHES: Final = (1, 2, 4, 8, 12, 16)
PROMPTS: Final = (16, 64, 128, 192, 256, 512, 1024)
ANSWER: Final = 64
CHUNK_TOKENS: Final = 256  # max_num_batched_tokens of the OpenVINO engine, where the catalogue does not say


@dataclass(frozen=True, slots=True)
class Answered:
    """One answer, by the client's clock."""

    ttft_s: float
    itl_s: float
    prompt_tokens: int
    completion_tokens: int


async def ask(stub: GatewayAsyncStub, expert: str, words: int, max_tokens: int) -> Answered:
    """Ask for one answer of up to `max_tokens` to a prompt of about `words` tokens."""
    request = gateway_pb2.GenerateRequest(
        model=expert,
        prompt="Count: " + "one two three " * (words // 3),
        sampling=chat_pb2.Sampling(max_tokens=max_tokens, temperature=0),
    )
    began = time.perf_counter()
    first = last = 0.0
    summary = None
    async for chunk in stub.Generate(request, timeout=300):
        if chunk.token_count:
            last = time.perf_counter()
            first = first or last
        if chunk.HasField("summary"):
            summary = chunk.summary
    if summary is None:
        raise RuntimeError("the stream ended without its summary")
    made = summary.usage.completion_tokens
    return Answered(first - began, (last - first) / max(made - 1, 1), summary.usage.prompt_tokens, made)


async def measure(target: str, expert: str, rounds: int, chunk_tokens: int) -> dict[str, Any]:
    """Measure both curves; returns an engine's fields, as `serve.plan.description.EngineModel` reads them."""
    async with grpc.aio.insecure_channel(target) as channel:
        stub: GatewayAsyncStub = GatewayStub(channel)
        for _ in range(3):
            await ask(stub, expert, 64, 8)
        steps = {}
        for batch in BATCHES:
            answers: list[Answered] = []
            for _ in range(rounds):
                answers += await asyncio.gather(*(ask(stub, expert, 16, ANSWER) for _ in range(batch)))
            steps[batch] = statistics.median(answer.itl_s for answer in answers) * 1e3
            print(f"{batch:3} at once: {steps[batch]:6.2f} ms a token", file=sys.stderr)
        points = []
        for words in PROMPTS:
            answers = [await ask(stub, expert, words, 1) for _ in range(rounds)]
            points.append((answers[0].prompt_tokens, statistics.median(answer.ttft_s for answer in answers) * 1e3))
            print(f"{points[-1][0]:5} tokens: {points[-1][1]:7.1f} ms to the first", file=sys.stderr)
    fitted = fit_prefill(points, steps[1], chunk_tokens)
    return {"step_ms": {batch: round(value, 3) for batch, value in steps.items()}, **fitted}


def fit_prefill(points: Sequence[tuple[int, float]], step_ms: float, chunk_tokens: int) -> dict[str, Any]:
    """Fit what prompts cost: TTFT = latency + steps x step + tokens x cost, of one prompt alone.

    A step costs what it costs, whether it decodes one sequence or begins a prompt: reading the weights. What is left
    beside that, and grows with no token, lies outside the engine: gateway, ingress, network.

    Args:
        points: prompt tokens, and milliseconds to the first token.
        step_ms: of a step with one sequence.
        chunk_tokens: that a step takes in at most.
    """
    tokens, times = np.array(points, dtype=np.float64).T
    cost, latency = np.polyfit(tokens, times - np.ceil(tokens / chunk_tokens) * step_ms, 1)
    return {
        "chunk_tokens": chunk_tokens,
        "prefill_ms": round(step_ms, 3),
        "prefill_ms_per_token": round(max(0.0, float(cost)), 5),
        "latency_ms": round(max(0.0, float(latency)), 3),
    }


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", default="127.0.0.1:8001", help="the gateway's gRPC door")
    parser.add_argument("--expert", default="generalist")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--chunk-tokens", type=int, default=CHUNK_TOKENS, help="the engine's max_num_batched_tokens")
    parser.add_argument("--slots", type=int, default=16, help="the expert's max_batch_size")
    parser.add_argument("--queue", type=int, default=32, help="its max_queue_len")
    parser.add_argument("--out", type=Path, help="where the curve goes")
    options = parser.parse_args()
    curve = asyncio.run(measure(options.target, options.expert, options.rounds, options.chunk_tokens))
    today = datetime.datetime.now(datetime.UTC).date()
    where = f"{options.expert} through the gateway, {os.cpu_count()} cores, {options.rounds} rounds"
    curve |= {"slots": options.slots, "queue": options.queue, "source": f"measured {today}: {where}"}
    if options.out:
        options.out.write_text(json.dumps(curve, indent=1) + "\n")
    print(json.dumps(curve))
    return 0


if __name__ == "__main__":
    sys.exit(main())
