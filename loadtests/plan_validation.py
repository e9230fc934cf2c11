"""Compares `moegate plan` with this machine: the same arrivals, simulated from a measured curve, and really sent.

`python -m loadtests.plan_validation --curve curve.json [--target 127.0.0.1:8001]`, with `moegate up` running and
nothing else. The curve comes from `loadtests.engine_curve`, which never sends this kind of traffic: Poisson arrivals of
mixed lengths, open loop, at shares of what the curve can carry, prompts and answers counted. Exits 1 if throughput or
median TTFT differs by more than the bar. Prints a table and one JSON line last.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import grpc.aio
import numpy as np

from loadtests.engine_curve import Answered, ask
from protos.gateway_pb2_grpc import GatewayStub
from serve.commands.plan.description import EngineModel, ExpertPlan, Plan, Traffic
from serve.commands.plan.report import simulate
from serve.commands.plan.traffic import Requests

if TYPE_CHECKING:
    from protos.gateway_pb2_grpc import GatewayAsyncStub

LOADS: Final = (0.3, 0.5, 0.7)  # of what the curve can carry
BAR: Final = 0.15
PROMPTS: Final = (32, 96, 192, 384)
ANSWERS: Final = (24, 64, 128)


async def send(stub: GatewayAsyncStub, expert: str, requests: Requests) -> tuple[list[Answered], float]:
    """Send every request at its time; returns the answers and the seconds until the last one ended."""
    began = time.perf_counter()

    async def one(at_s: float, prompt: int, answer: int) -> Answered:
        await asyncio.sleep(max(0.0, began + at_s - time.perf_counter()))
        return await ask(stub, expert, prompt, answer)

    columns = zip(requests.at_s.tolist(), requests.prompt.tolist(), requests.answer.tolist(), strict=True)
    answers = await asyncio.gather(*(one(*row) for row in columns))
    return answers, time.perf_counter() - began


def draw(rate: float, seconds: float, seed: int) -> Requests:
    """Draw Poisson arrivals of mixed lengths."""
    random = np.random.default_rng(seed)
    at_s = np.sort(random.uniform(0, seconds, random.poisson(rate * seconds)))
    prompt = random.choice(PROMPTS, size=len(at_s))
    answer = random.choice(ANSWERS, size=len(at_s))
    return Requests(at_s, np.zeros(len(at_s), dtype=np.int64), prompt, answer, seconds)


def carried(curve: dict[str, Any]) -> float:
    """Return the requests a second that keep every slot of the engine at work, prompts being prefilled beside."""
    engine = _engine(curve)
    context = engine.slots * (statistics.mean(PROMPTS) + statistics.mean(ANSWERS) / 2)
    step_s = engine.step_s()[-1] + context * engine.step_ms_per_context_token / 1e3
    decode_s = statistics.mean(ANSWERS) * step_s / engine.slots
    return 1 / (decode_s + statistics.mean(PROMPTS) * engine.prefill_ms_per_token / 1e3)


def simulated(curve: dict[str, Any], requests: Requests) -> tuple[float, float]:
    """Return tokens a second and the median TTFT, simulated."""
    plan = Plan(
        engines={"engine": _engine(curve)},
        experts={"only": ExpertPlan(engine="engine", share=1)},
        traffic=Traffic(requests_per_s=1, hours=requests.duration_s / 3600),
    )
    result = simulate(plan, requests=requests)
    return int(requests.answer.sum()) / max(result.outcome.end_s), result.latency["all"].ttft_p50


def _engine(curve: dict[str, Any]) -> EngineModel:
    """The curve as an engine on a machine of its own; nobody is turned away."""
    fields = {"queue": 10_000, "instance": "here", "cores": 1, "instance_cores": 1, "usd_per_hour": 0}
    return EngineModel.model_validate(curve | fields)


async def validate(target: str, expert: str, curve: dict[str, Any], seconds: float) -> list[dict[str, float]]:
    """Send and simulate at every load; what was really generated is what is simulated."""
    rows = []
    async with grpc.aio.insecure_channel(target) as channel:
        stub: GatewayAsyncStub = GatewayStub(channel)
        for load in LOADS:
            requests = draw(load * carried(curve), seconds, seed=int(load * 100))
            answers, took_s = await send(stub, expert, requests)
            real = Requests(
                requests.at_s,
                requests.expert,
                np.array([answer.prompt_tokens for answer in answers]),
                np.array([max(1, answer.completion_tokens) for answer in answers]),
                seconds,
            )
            throughput, ttft_s = simulated(curve, real)
            rows.append(
                {
                    "load": load,
                    "requests": len(answers),
                    "tokens_per_s": float(real.answer.sum()) / took_s,
                    "tokens_per_s_simulated": throughput,
                    "ttft_s": statistics.median(answer.ttft_s for answer in answers),
                    "ttft_s_simulated": ttft_s,
                }
            )
    return rows


def main() -> int:
    """Validate, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--curve", type=Path, required=True)
    parser.add_argument("--target", default="127.0.0.1:8001")
    parser.add_argument("--expert", default="generalist")
    parser.add_argument("--seconds", type=float, default=60, help="of each load")
    options = parser.parse_args()
    curve = json.loads(options.curve.read_text())
    rows = asyncio.run(validate(options.target, options.expert, curve, options.seconds))
    worst = 0.0
    for row in rows:
        off = {name: row[f"{name}_simulated"] / row[name] - 1 for name in ("tokens_per_s", "ttft_s")}
        worst = max(worst, *map(abs, off.values()))
        print(
            f"load {row['load']:.0%}: {row['tokens_per_s']:7.1f} tokens/s, simulated {off['tokens_per_s']:+.1%}; "
            f"TTFT {row['ttft_s'] * 1e3:6.1f} ms, simulated {off['ttft_s']:+.1%}",
            file=sys.stderr,
        )
    print(json.dumps({"rows": rows, "worst": round(worst, 4), "bar": BAR}))
    return 0 if worst <= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
