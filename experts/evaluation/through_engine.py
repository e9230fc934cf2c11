"""One suite's rows through one engine, as a replica would ask it: what came back, how fast, and in how many tokens.

`experts.evaluate` measures with it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from experts.catalog.spec import ExpertSpec
from experts.commands.progress import progress_bar
from experts.engine import Engine, Sampling
from experts.evaluation.engine_client import Answer, Pace, ask_all, running, time_alone, timed
from experts.evaluation.suites.suite import Case


@dataclass(frozen=True, slots=True)
class Run:
    """What came back from an engine, and how long it took."""

    answers: Sequence[Answer]
    paces: Sequence[Pace]  # answers alone
    wall_s: float  # of all answers together


async def answer_cases(
    engine: Engine, spec: ExpertSpec, cases: Sequence[Case], sampling: Sampling, alone: int, console: Console
) -> Run:
    """Ask every case: the first `alone` one by one for the clock, then all of them in batches.

    Raises:
        EngineDead: the engine cannot start, or failed on the way.
    """
    conversations = [case.conversation for case in cases]
    async with running(engine):
        paces = await time_alone(engine, spec, conversations[:alone], timed(sampling))
        with progress_bar(console) as progress:
            task = progress.add_task(f"{spec.name}: answers", total=len(cases))
            began_s = time.perf_counter()
            answers = await ask_all(engine, spec, conversations, sampling, lambda _: progress.advance(task))
            return Run(answers, paces, time.perf_counter() - began_s)


def facts(run: Run) -> dict[str, Any]:
    """Return what `experts.select` needs beside the scores: tokens, pace, and answers that were cut or refused."""
    answers, n = run.answers, max(1, len(run.answers))
    finishes = [str(answer.finish) for answer in answers]
    completion_tokens = sum(answer.completion_tokens for answer in answers)
    return {
        "prompt_tokens": round(sum(answer.prompt_tokens for answer in answers) / n, 1),
        "completion_tokens": round(completion_tokens / n, 1),
        "finish": {kind: finishes.count(kind) for kind in sorted(set(finishes))},
        "wall_s": round(run.wall_s, 1),
        "batch_tokens_per_s": round(completion_tokens / run.wall_s, 1),
        "alone": {"n": len(run.paces), "ttft_ms": _median_ms(run.paces), "tokens_per_s": _median_pace(run.paces)},
    }


def _median_ms(paces: Sequence[Pace]) -> float | None:
    return round(1000 * _median([pace.ttft_s for pace in paces]), 1) if paces else None


def _median_pace(paces: Sequence[Pace]) -> float | None:
    return round(_median([pace.tokens_per_s for pace in paces]), 1) if paces else None


def _median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
