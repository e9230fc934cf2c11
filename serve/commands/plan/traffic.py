"""The requests of a simulated day: when each comes, for which expert, and how long its prompt and its answer are.

Arrivals are a Poisson process whose rate follows the day and its bursts, made by thinning (Lewis and Shedler 1979), or
those of a recorded log. Everything is in arrays: a million requests take a second.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from serve.commands.plan.description import Lengths, Plan, PlanError, Traffic

CANARY: Final = "-canary"
"""What deploy/k8s names a successor on trial by: in a log its requests are the expert's."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Requests:
    """Every request, by arrival; arrays of one length."""

    at_s: Floats
    expert: Ints  # index into the plan's experts
    prompt: Ints  # tokens
    answer: Ints  # tokens, at least 1
    duration_s: float

    def __len__(self) -> int:
        return len(self.at_s)


def make_requests(plan: Plan) -> Requests:
    """Make, or read, the plan's requests.

    Raises:
        PlanError: the log cannot be used.
    """
    traffic = plan.traffic
    if traffic.log is not None:
        return _read_log(traffic.log, list(plan.experts))
    random = np.random.default_rng(traffic.seed)
    at_s = _arrivals(traffic, random)
    shares = np.array([expert.share for expert in plan.experts.values()])
    chosen = random.choice(len(shares), size=len(at_s), p=shares / shares.sum())
    prompt, answer = np.ones((2, len(at_s)), dtype=np.int64)
    for index, expert in enumerate(plan.experts.values()):
        theirs = np.flatnonzero(chosen == index)
        prompt[theirs] = _lengths(expert.prompt, len(theirs), random)
        answer[theirs] = _lengths(expert.answer, len(theirs), random)
    return Requests(at_s, chosen, prompt, answer, traffic.hours * 3600)


def rate_curve(traffic: Traffic, at_s: Floats, bursts_s: Floats) -> Floats:
    """Return requests a second at each time, bursts (their beginnings) included."""
    rate = np.full(len(at_s), traffic.requests_per_s)
    if traffic.shape == "diurnal":
        rate *= 1 - (traffic.peak_to_mean - 1) * np.cos(2 * np.pi * at_s / 86400)  # least at midnight
    if traffic.bursts is not None and len(bursts_s):
        last = np.searchsorted(bursts_s, at_s, side="right") - 1
        within = (last >= 0) & (at_s - bursts_s[np.maximum(last, 0)] < traffic.bursts.seconds)
        rate[within] *= traffic.bursts.factor
    return rate


def _arrivals(traffic: Traffic, random: np.random.Generator) -> Floats:
    duration_s = traffic.hours * 3600
    bursts_s = np.zeros(0)
    if traffic.bursts is not None:
        bursts_s = np.sort(random.uniform(0, duration_s, random.poisson(traffic.bursts.per_hour * traffic.hours)))
    most = traffic.requests_per_s * (traffic.peak_to_mean if traffic.shape == "diurnal" else 1)
    most *= traffic.bursts.factor if traffic.bursts is not None else 1
    candidates = np.sort(random.uniform(0, duration_s, random.poisson(most * duration_s)))
    kept = random.uniform(0, most, len(candidates)) < rate_curve(traffic, candidates, bursts_s)
    return candidates[kept]


def _lengths(lengths: Lengths, count: int, random: np.random.Generator) -> Ints:
    drawn = lengths.median * np.exp(lengths.sigma * random.standard_normal(count))
    return np.clip(np.rint(drawn), 1, lengths.most).astype(np.int64)


def _read_log(path: Path, names: list[str]) -> Requests:
    """Read rows of our own form, or the lines that a gateway logged; whatever else it logged is passed over."""
    try:
        lines = (json.loads(line) for line in path.read_text("utf-8").splitlines() if line)
        rows = sorted(row for line in lines if (row := _read_row(line, names)) is not None)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PlanError(f"{path}: not a log of this plan's experts: {error}") from None
    if not rows:
        raise PlanError(f"{path}: no request in it")
    at_s, expert, prompt, answer = zip(*rows, strict=True)
    shifted = np.array(at_s, dtype=np.float64) - at_s[0]
    return Requests(shifted, np.array(expert), np.array(prompt), np.array(answer), float(shifted[-1]) + 1)


def _read_row(line: dict[str, Any], names: list[str]) -> tuple[float, int, int, int] | None:
    """Return when a request came, its expert, its tokens; None for a line that is no request, or reached no expert."""
    if "event" not in line:
        at_s = float(line["at_s"])
    elif line["event"] == "request" and line["prompt_tokens"]:
        at_s = datetime.fromisoformat(line["time"]).timestamp() - line["duration_ms"] / 1e3  # it was logged at its end
    else:
        return None
    expert = line["expert"] if line["expert"] in names else str(line["expert"]).removesuffix(CANARY)
    if expert not in names:
        raise ValueError(f"its expert {line['expert']!r} is none of {', '.join(names)}")
    return at_s, names.index(expert), max(1, line["prompt_tokens"]), max(1, line["completion_tokens"])
