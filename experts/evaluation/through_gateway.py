"""One suite's rows through a running gateway: what came back, who answered, what it cost, and when it began.

`experts.evaluate --gateway` measures with it. Quality does not depend on what else the machine does; times do.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Console

from experts.commands.progress import progress_bar
from experts.evaluation.gateway_client import GatewayClient, GatewayUnavailable, Question, Served, ask_gateway
from experts.evaluation.suites.suite import Case


@dataclass(frozen=True, slots=True)
class Through:
    """All answers to a suite's cases, in their order."""

    served: Sequence[Served]
    wall_s: float

    def facts(self) -> dict[str, Any]:
        """Return what the JSON line says beside the scores."""
        answers = [one.answer for one in self.served]
        finishes = Counter(str(answer.finish) for answer in answers)
        n, completion_tokens = len(answers), sum(answer.completion_tokens for answer in answers)
        return {
            "experts": shares([one.expert for one in self.served]),
            "usd_per_1000": usd_per_1000(self.served),
            "ttft_ms": ttft_ms(self.served),
            "measured": {
                "prompt_tokens": round(sum(answer.prompt_tokens for answer in answers) / n, 1),
                "completion_tokens": round(completion_tokens / n, 1),
                "finish": dict(sorted(finishes.items())),
                "wall_s": round(self.wall_s, 1),
                "batch_tokens_per_s": round(completion_tokens / self.wall_s, 1),
            },
        }


def ask_cases(
    client: GatewayClient, model: str, cases: Sequence[Case], in_flight: int, max_tokens: int | None, console: Console
) -> Through:
    """Ask a gateway every case, `in_flight` at once.

    Raises:
        GatewayUnavailable: nobody answers, or `model` is none of the gateway's.
    """
    if model not in (names := client.models()):
        raise GatewayUnavailable(f"the gateway has no model {model!r}; it has {', '.join(names)}")
    questions = [Question(model, case.conversation) for case in cases]
    began_s = time.perf_counter()
    with progress_bar(console) as progress:
        task = progress.add_task(f"{model}: answers", total=len(cases))
        served = ask_gateway(client, questions, in_flight, lambda *_: progress.advance(task), max_tokens)
    return Through(served, time.perf_counter() - began_s)


def shares(names: Sequence[str]) -> dict[str, float]:
    """Return the share of answers by each expert; "nobody" had the request refused."""
    counts = Counter(name or "nobody" for name in names)
    return {name: round(count / len(names), 4) for name, count in counts.most_common()}


def usd_per_1000(served: Sequence[Served]) -> float:
    """Return what 1,000 such requests cost, USD, by the gateway's ledger."""
    return round(1000 * sum(one.usd for one in served) / len(served), 6)


def ttft_ms(served: Sequence[Served]) -> dict[str, float | int | None]:
    """Return median and 90th percentile of the time to first token, ms, with everything else that was in flight."""
    times = [1000 * one.ttft_s for one in served if one.ttft_s is not None]
    p50, p90 = (round(float(value), 1) for value in np.percentile(times, [50, 90])) if times else (None, None)
    return {"n": len(times), "p50": p50, "p90": p90}


def add_gateway_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of a measurement through a gateway."""
    group = parser.add_argument_group("through a gateway")
    group.add_argument("--gateway", metavar="URL", help="ask this running gateway instead of an engine")
    group.add_argument("--model", default="auto", help="with --gateway: auto, or the expert to ask")
    group.add_argument("--api-key", default="any", help="with --gateway: of a gateway that asks for one")
    group.add_argument("--in-flight", type=int, default=8, metavar="N", help="with --gateway: requests at once")
