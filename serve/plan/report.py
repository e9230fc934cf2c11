"""What a simulated run comes to: latency, misses, replicas, instances, idle share, USD; a table and a JSON object.

Clocks: TTFT from a request's arrival to its first token, ITL per request as (last - first) / (tokens - 1). USD counts
whole instances while any replica is on them. Idle is the share of paid replica time in which no sequence was there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from serve.plan.description import ExpertPlan, Plan
from serve.plan.fleet import Fleet, Outcome
from serve.plan.traffic import Requests, make_requests


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles, in seconds, and how many requests missed a target."""

    ttft_p50: float
    ttft_p99: float
    itl_p50: float
    itl_p99: float
    missed: int
    answered: int


@dataclass(frozen=True, slots=True)
class Result:
    """One fleet under one traffic."""

    title: str
    plan: Plan
    requests: Requests
    outcome: Outcome
    latency: dict[str, Latency]  # by expert, and "all"
    replicas: dict[str, tuple[float, int]]  # mean and most, by expert
    instances: dict[str, float]  # mean, by type
    usd_per_hour: float
    usd_per_million: float | None  # completion tokens; None: there were none
    idle: float  # share of paid replica time
    prompt_tokens_per_s: float
    completion_tokens_per_s: float

    def as_dict(self) -> dict[str, Any]:
        """Return what scripts want; the curves' sources go along."""
        everything = self.latency["all"]
        return {
            "title": self.title,
            "requests": len(self.requests),
            "refused": self.outcome.refused,
            "cold": len(self.outcome.cold),
            "restarted": self.outcome.restarted,
            "ttft_s": {"p50": round(everything.ttft_p50, 4), "p99": round(everything.ttft_p99, 4)},
            "itl_s": {"p50": round(everything.itl_p50, 5), "p99": round(everything.itl_p99, 5)},
            "target_misses": everything.missed,
            "replicas": {name: {"mean": round(mean, 2), "most": most} for name, (mean, most) in self.replicas.items()},
            "instances": {name: round(count, 2) for name, count in self.instances.items()},
            "usd_per_hour": round(self.usd_per_hour, 4),
            "usd_per_million_completion_tokens": self.usd_per_million and round(self.usd_per_million, 4),
            "idle": round(self.idle, 4),
            "completion_tokens_per_s": round(self.completion_tokens_per_s, 2),
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
    for times in (first, end):
        times[outcome.cold] += plan.fleet.cold_fallback_s
    by, served = np.array(outcome.by), np.isfinite(end)
    latency = {"all": _latency(plan, requests, first, end, served)}
    for index, name in enumerate(plan.experts):
        latency[name] = _latency(plan, requests, first, end, served & (by == index))
    span_s = max(requests.duration_s, float(end[served].max(initial=0.0)))
    usd = _usd(plan, outcome)
    completion = int(requests.answer[served].sum())
    return Result(
        title=title,
        plan=plan,
        requests=requests,
        outcome=outcome,
        latency=latency,
        replicas={name: _replicas(outcome, index, span_s) for index, name in enumerate(plan.experts)},
        instances={name: seconds / span_s for name, seconds in outcome.instance_s.items()},
        usd_per_hour=usd / span_s * 3600,
        usd_per_million=usd / completion * 1e6 if completion else None,
        idle=1 - min(1.0, sum(outcome.busy_s) / max(sum(outcome.paid_s), 1e-9)),
        prompt_tokens_per_s=int(requests.prompt[served].sum()) / span_s,
        completion_tokens_per_s=completion / span_s,
    )


def one_big_model(plan: Plan) -> Plan:
    """Return the same traffic's plan with every request sent to the one big model.

    Raises:
        ValueError: the plan names none.
    """
    if plan.one_big is None:
        raise ValueError("the plan has no one_big")
    big: ExpertPlan = plan.one_big
    return plan.model_copy(update={"experts": {"one-big": big}, "default": None, "one_big": None})


def compare(plan: Plan) -> list[Result]:
    """Simulate the fleet and, on the very same requests, the one big model if there is one."""
    requests = make_requests(plan)
    results = [simulate(plan, "experts", requests)]
    if plan.one_big is not None:
        alone = Requests(
            requests.at_s, np.zeros_like(requests.expert), requests.prompt, requests.answer, requests.duration_s
        )
        results.append(simulate(one_big_model(plan), "one big model", alone))
    return results


def table(results: list[Result]) -> Table:
    """Lay results side by side, each fleet's total first and its experts below."""
    columns = ("", "replicas", "TTFT p50", "p99 s", "ITL p50", "p99 ms", "missed", "USD/h", "USD/1M out", "idle")
    made = Table(*columns, box=None)
    for result in results:
        latency = result.latency["all"]
        price = "-" if result.usd_per_million is None else f"{result.usd_per_million:.2f}"
        made.add_row(
            f"[bold]{result.title}[/]", "", *_cells(latency), f"{result.usd_per_hour:.2f}", price, f"{result.idle:.0%}"
        )  # fmt: skip
        for name, (mean, most) in result.replicas.items():
            made.add_row(f"  {name}", f"{mean:.1f} ({most})", *_cells(result.latency[name]))
    return made


def _cells(latency: Latency) -> tuple[str, ...]:
    seconds = (f"{latency.ttft_p50:.2f}", f"{latency.ttft_p99:.2f}")
    return (*seconds, f"{latency.itl_p50 * 1e3:.0f}", f"{latency.itl_p99 * 1e3:.0f}", str(latency.missed))


def _latency(
    plan: Plan, requests: Requests, first: NDArray[np.float64], end: NDArray[np.float64], chosen: NDArray[np.bool_]
) -> Latency:
    if not chosen.any():
        return Latency(0.0, 0.0, 0.0, 0.0, 0, 0)
    ttft = first[chosen] - requests.at_s[chosen]
    itl = (end[chosen] - first[chosen]) / np.maximum(requests.answer[chosen] - 1, 1)
    missed = int(((ttft > plan.targets.ttft_s) | (itl > plan.targets.itl_s)).sum())
    ttfts, itls = np.percentile(ttft, [50, 99]), np.percentile(itl, [50, 99])
    return Latency(
        ttft_p50=float(ttfts[0]),
        ttft_p99=float(ttfts[1]),
        itl_p50=float(itls[0]),
        itl_p99=float(itls[1]),
        missed=missed,
        answered=int(chosen.sum()),
    )


def _usd(plan: Plan, outcome: Outcome) -> float:
    prices = {engine.instance: engine.price()[0] for engine in plan.engines.values()}
    factor = plan.fleet.spot.price_factor if plan.fleet.spot else 1.0
    return sum(seconds / 3600 * prices[name] * factor for name, seconds in outcome.instance_s.items())


def _replicas(outcome: Outcome, index: int, span_s: float) -> tuple[float, int]:
    most = max((replicas[index] for _, replicas, _ in outcome.history), default=0)
    return outcome.paid_s[index] / span_s, most
