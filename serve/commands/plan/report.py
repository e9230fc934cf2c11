"""The results of a simulation: latency, misses, replicas, instances, idle share, USD. `table` prints them.

Clocks: TTFT is from a request's arrival to its first token; ITL of a request is (last - first) / (tokens - 1). A
request misses if either exceeds its target, or if it was refused. USD counts whole instances while any replica is on
them; an expert's instances are its replicas' share of them. Idle is the share of paid replica time without a sequence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serve.commands.plan.description import Plan, Quality
from serve.commands.plan.fleet import Fleet, Outcome
from serve.commands.plan.traffic import Requests, make_requests


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles of what was answered, in seconds, and how many requests missed a target or were refused."""

    ttft_p50: float
    ttft_p99: float
    itl_p50: float
    itl_p99: float
    missed: int  # refused ones included
    requests: int
    refused: int

    @property
    def missed_share(self) -> float:
        """The share of requests that missed."""
        return self.missed / self.requests if self.requests else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return what scripts want."""
        return {
            "requests": self.requests,
            "refused": self.refused,
            "ttft_s": {"p50": round(self.ttft_p50, 4), "p99": round(self.ttft_p99, 4)},
            "itl_s": {"p50": round(self.itl_p50, 5), "p99": round(self.itl_p99, 5)},
            "target_misses": self.missed,
        }


@dataclass(frozen=True, slots=True)
class Held:
    """What one expert held over the run."""

    replicas: float  # mean
    most: int
    instances: float  # mean; its replicas' share of them
    idle: float  # share of its replica time

    def as_dict(self) -> dict[str, Any]:
        """Return what scripts want."""
        return {
            "replicas": {"mean": round(self.replicas, 2), "most": self.most},
            "instances": round(self.instances, 2),
            "idle": round(self.idle, 4),
        }


@dataclass(frozen=True, slots=True)
class Result:
    """One fleet under one traffic."""

    title: str
    plan: Plan
    requests: Requests
    outcome: Outcome
    latency: dict[str, Latency]  # by expert, and "all"
    held: dict[str, Held]  # by expert
    instances: dict[str, float]  # mean, by type
    usd_per_hour: float
    usd_per_million: float | None  # completion tokens; None: there were none
    idle: float  # share of paid replica time
    prompt_tokens_per_s: float
    completion_tokens_per_s: float
    quality: Quality | None = None  # measured by somebody, or nobody

    def as_dict(self) -> dict[str, Any]:
        """Return what scripts want; the curves' sources go along."""
        return {
            "title": self.title,
            **self.latency["all"].as_dict(),
            "cold": len(self.outcome.cold),
            "restarted": self.outcome.restarted,
            "experts": {name: self.latency[name].as_dict() | held.as_dict() for name, held in self.held.items()},
            "instances": {name: round(count, 2) for name, count in self.instances.items()},
            "usd_per_hour": round(self.usd_per_hour, 4),
            "usd_per_million_completion_tokens": self.usd_per_million and round(self.usd_per_million, 4),
            "idle": round(self.idle, 4),
            "completion_tokens_per_s": round(self.completion_tokens_per_s, 2),
            "quality": self.quality and self.quality.model_dump(),
            "sources": {name: engine.source for name, engine in self.plan.engines.items()},
        }


def simulate(plan: Plan, title: str = "fleet", requests: Requests | None = None) -> Result:
    """Run a plan and count.

    Raises:
        PlanError: its log or its instances cannot be used.
    """
    requests = requests or make_requests(plan)
    fleet = Fleet(plan, requests)
    outcome = fleet.run()
    first, end = np.array(outcome.first_s), np.array(outcome.end_s)
    by, served = np.array(outcome.by), np.isfinite(end)
    engines = [plan.engines[expert.engine] for expert in plan.experts.values()]
    beside_s = np.array([engine.latency_ms / 1e3 for engine in engines])[by]
    busy_s = np.array([engine.busy_latency_ms / 1e3 for engine in engines])[by]
    beside_s[outcome.beside] += busy_s[outcome.beside]
    beside_s[outcome.cold] += plan.fleet.cold_fallback_s
    first, end = first + beside_s, end + beside_s
    latency = {"all": _latency(plan, requests, first, end, np.ones_like(served))}
    for index, name in enumerate(plan.experts):
        latency[name] = _latency(plan, requests, first, end, by == index)
    span_s = max(requests.duration_s, float(end[served].max(initial=0.0)))
    usd = _usd(plan, outcome)
    completion = int(requests.answer[served].sum())
    return Result(
        title=title,
        plan=plan,
        requests=requests,
        outcome=outcome,
        latency=latency,
        held={name: _held(plan, outcome, index) for index, name in enumerate(plan.experts)},
        instances={name: seconds / outcome.paid_for_s for name, seconds in outcome.instance_s.items()},
        usd_per_hour=usd / outcome.paid_for_s * 3600,
        usd_per_million=usd / completion * 1e6 if completion else None,
        idle=1 - min(1.0, sum(outcome.busy_s) / max(sum(outcome.paid_s), 1e-9)),
        prompt_tokens_per_s=int(requests.prompt[served].sum()) / span_s,
        completion_tokens_per_s=completion / span_s,
        quality=plan.quality,
    )


def _latency(
    plan: Plan, requests: Requests, first: NDArray[np.float64], end: NDArray[np.float64], chosen: NDArray[np.bool_]
) -> Latency:
    asked = int(chosen.sum())
    chosen = chosen & np.isfinite(end)
    refused = asked - int(chosen.sum())
    if not chosen.any():
        return Latency(0.0, 0.0, 0.0, 0.0, refused, asked, refused)
    ttft = first[chosen] - requests.at_s[chosen]
    itl = (end[chosen] - first[chosen]) / np.maximum(requests.answer[chosen] - 1, 1)
    late = int(((ttft > plan.targets.ttft_s) | (itl > plan.targets.itl_s)).sum())
    ttfts, itls = np.percentile(ttft, [50, 99]), np.percentile(itl, [50, 99])
    return Latency(
        ttft_p50=float(ttfts[0]),
        ttft_p99=float(ttfts[1]),
        itl_p50=float(itls[0]),
        itl_p99=float(itls[1]),
        missed=late + refused,
        requests=asked,
        refused=refused,
    )


def _usd(plan: Plan, outcome: Outcome) -> float:
    prices = {engine.instance: engine.price()[0] for engine in plan.engines.values()}
    factor = plan.fleet.spot.price_factor if plan.fleet.spot else 1.0
    return sum(seconds / 3600 * prices[name] * factor for name, seconds in outcome.instance_s.items())


def _held(plan: Plan, outcome: Outcome, index: int) -> Held:
    engine = plan.engines[list(plan.experts.values())[index].engine]
    paid_s, busy_s = outcome.paid_s[index], outcome.busy_s[index]
    return Held(
        replicas=paid_s / outcome.paid_for_s,
        most=outcome.most[index],
        instances=paid_s / outcome.paid_for_s * engine.cores / engine.price()[1],
        idle=1 - min(1.0, busy_s / max(paid_s, 1e-9)),
    )
