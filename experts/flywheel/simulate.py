"""How often the gate is wrong: candidates that are worse, equal or better by known amounts go through the real one.

`python -m experts.flywheel.simulate [--runs 1000]`. A run judges made-up answers of both on the same rows (`verdict`),
and what is better goes on trial (`trial`) with 1, 5 and 25 % of the traffic. Prints, for each candidate, the share that
is promoted and rolled back, with Wilson's intervals, and how many answers a sabotaged one gave before its trial ended;
one JSON line last.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from rich.console import Console
from rich.table import Table

from experts.evaluation.suites.scores import share
from experts.flywheel.trial import Trial
from experts.flywheel.verdict import Rules, Verdict, judge

STAGES: Final = ((0.01, 2_000), (0.05, 2_000), (0.25, 2_000))
"""The candidate's share, and the answers of both together before the next stage."""
_SERVES: Final = 0.7  # the incumbent's share of right answers
_AGREE: Final = 0.5  # how much of an answer's luck is the row's
_BAD: Final = {"error": 0.005, "rating": 0.03}  # the incumbent's share of answers


@dataclass(frozen=True, slots=True)
class Candidate:
    """What is known of one.

    Attributes:
        gain: in right answers, as a share of all.
        bad: by kind, its share of bad answers beside the incumbent's (times).
        slower: its time to the first token beside the incumbent's (times).
    """

    gain: float
    bad: float = 1.0
    slower: float = 1.0


CANDIDATES: Final = {
    "worse by 10 points": Candidate(-0.10),
    "worse by 3 points": Candidate(-0.03),
    "equal": Candidate(0.0),
    "better by 3 points": Candidate(0.03),
    "better by 5 points": Candidate(0.05),
    "better by 10 points": Candidate(0.10),
    "better, five times the errors": Candidate(0.10, bad=5.0),
    "better, twice as slow": Candidate(0.10, slower=2.0),
    "sabotaged: every answer fails": Candidate(0.10, bad=200.0),
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one: whether it got so far, and how many answers it gave before it was stopped (0: it was not)."""

    verdict: Verdict
    is_promoted: bool
    answers_before_stop: int


def run(candidate: Candidate, rows: int, seed: int) -> Outcome:
    """Send one through the gate."""
    generator = np.random.default_rng(seed)
    verdict = judge(_answers(candidate, rows, generator), "goal", Rules(), seed=seed).verdict
    if verdict is not Verdict.BETTER:
        return Outcome(verdict, False, 0)
    trial = on_trial(candidate, generator)
    return Outcome(verdict, trial.breach is None, 0 if trial.breach is None else trial.answers)


def on_trial(candidate: Candidate, generator: np.random.Generator) -> Trial:
    """Let one answer its share of the traffic until its trial ends or it has passed every stage."""
    trial, number = Trial(), 0
    for part, answers in STAGES:
        arms, luck = generator.random(answers) < part, generator.random(answers)
        spread = generator.lognormal(0, 0.5, answers)
        for place in range(answers):
            number += 1
            draws = (bool(arms[place]), float(luck[place]), float(spread[place]))
            _answer(trial, candidate, number, *draws, part)
            if trial.breach is not None:
                return trial
    return trial


def _answer(
    trial: Trial, candidate: Candidate, number: int, is_canary: bool, luck: float, spread: float, part: float
) -> None:
    origin, times = number.to_bytes(8, "big"), candidate.bad if is_canary else 1.0
    if luck < _BAD["error"] * times:
        trial.failed(origin, is_canary=is_canary, share=part)
        return
    ttft_s = 0.2 * spread * (candidate.slower if is_canary else 1.0)
    trial.answered(origin, is_canary=is_canary, share=part, ttft_s=ttft_s, usd=1e-5 * spread)
    if luck > 1.0 - _BAD["rating"] * times:
        trial.bad("rating", origin, is_canary=is_canary, share=part)


def _answers(candidate: Candidate, rows: int, generator: np.random.Generator) -> dict[str, Any]:
    """Right and wrong answers to the same rows: a goal, and a guard that nothing changes."""

    def pair(serves: float, gain: float, n: int) -> tuple[list[float], list[float]]:
        common = generator.random(n)
        is_common = generator.random((2, n)) < _AGREE
        luck = np.where(is_common, common, generator.random((2, n)))
        return (luck[0] < serves).astype(float).tolist(), (luck[1] < serves + gain).astype(float).tolist()

    return {"goal": pair(_SERVES, candidate.gain, rows), "guard": pair(0.95, min(0.0, candidate.gain), rows)}


def summarise(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Shares with intervals, and quantiles of the answers before a stop."""
    n = len(outcomes)
    better = [one for one in outcomes if one.verdict is Verdict.BETTER]
    stopped = sorted(one.answers_before_stop for one in outcomes if one.answers_before_stop)
    return {
        "promoted": share(sum(one.is_promoted for one in outcomes), n).as_dict(),
        "tried": len(better),
        "rolled_back": share(len(stopped), len(better)).as_dict() if better else None,
        "answers_before_stop": {
            "p50": stopped[len(stopped) // 2], "p95": stopped[int(len(stopped) * 0.95)], "max": stopped[-1],
        } if stopped else None,
    }  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate and tell."""
    parser = argparse.ArgumentParser(prog="python -m experts.flywheel.simulate", description=main.__doc__)
    parser.add_argument("--runs", type=int, default=1000, help="of each candidate (default %(default)s)")
    parser.add_argument("--rows", type=int, default=1200, help="that both answer (default %(default)s)")
    parser.add_argument("--json", action="store_true", help="one JSON line last")
    options = parser.parse_args(arguments)
    found = {
        name: summarise([run(candidate, options.rows, seed) for seed in range(options.runs)])
        for name, candidate in CANDIDATES.items()
    }
    table = Table("candidate", "promoted (95 %)", "rolled back of those tried", "answers before: p50, p95, max")
    for name, one in found.items():
        table.add_row(name, _shown(one["promoted"]), _shown(one["rolled_back"]), _quantiles(one["answers_before_stop"]))
    Console().print(table)
    if options.json:
        print(json.dumps({"runs": options.runs, "rows": options.rows, "candidates": found}))
    return 0


def _shown(score: dict[str, Any] | None) -> str:
    return "-" if score is None else f"{score['value']:.3f} ({score['ci95'][0]:.3f} to {score['ci95'][1]:.3f})"


def _quantiles(found: dict[str, int] | None) -> str:
    return "-" if found is None else ", ".join(map(str, found.values()))


if __name__ == "__main__":
    sys.exit(main())
