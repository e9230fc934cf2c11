"""The experts and what else could answer the very same requests: one model, an API, spot instances, other engines.

`moegate plan` compares them. Each alternative that runs on instances is simulated as the experts are; an API is priced
by the token, and what nobody has measured of it (its latency, its quality) stays open in the report.
"""

from __future__ import annotations

from math import nan

import numpy as np

from serve.commands.plan.description import Alternative, Api, ExpertPlan, Plan
from serve.commands.plan.fleet import Outcome
from serve.commands.plan.report import Latency, Result, simulate
from serve.commands.plan.traffic import Requests, make_requests


def compare(plan: Plan) -> list[Result]:
    """Simulate the experts, then each alternative on the very same requests.

    Raises:
        PlanError: the plan's log or its instances cannot be used.
    """
    requests = make_requests(plan)
    results = [simulate(plan, "experts", requests)]
    if plan.one_big is not None:
        results.append(_alone(plan, "one big model", "one-big", plan.one_big, requests))
    return [*results, *(_other(plan, title, other, requests) for title, other in plan.alternatives.items())]


def _other(plan: Plan, title: str, other: Alternative, requests: Requests) -> Result:
    if other.api is not None:
        return _bought(plan.model_copy(update={"quality": other.quality}), title, other.api, requests)
    if other.model is not None:
        return _alone(plan.model_copy(update={"quality": other.quality}), title, "model", other.model, requests)
    changed = plan.model_copy(update={"quality": other.quality or plan.quality})
    if other.spot is not None:
        changed = changed.model_copy(update={"fleet": plan.fleet.model_copy(update={"spot": other.spot})})
    moves = other.engines or {}
    experts = {
        name: expert.model_copy(update={"engine": moves.get(expert.engine, expert.engine)})
        for name, expert in plan.experts.items()
    }
    return simulate(changed.model_copy(update={"experts": experts}), title, requests)


def _alone(plan: Plan, title: str, name: str, model: ExpertPlan, requests: Requests) -> Result:
    """Send every request to one model."""
    alone = Requests(
        requests.at_s, np.zeros_like(requests.expert), requests.prompt, requests.answer, requests.duration_s
    )
    return simulate(plan.model_copy(update={"experts": {name: model}, "default": None}), title, alone)


def _bought(plan: Plan, title: str, api: Api, requests: Requests) -> Result:
    """Price every request by the token; nothing is simulated, and what is unknown is not a number."""
    prompt, completion = int(requests.prompt.sum()), int(requests.answer.sum())
    usd = (prompt * api.usd_per_million.prompt + completion * api.usd_per_million.completion) / 1e6
    ttft, itl = api.ttft_s or nan, api.itl_s or nan
    hours = requests.duration_s / 3600
    return Result(
        title=title,
        plan=plan.model_copy(update={"experts": {}, "engines": {}}),
        requests=requests,
        outcome=Outcome([], [], []),
        latency={"all": Latency(ttft, nan, itl, nan, 0, len(requests), 0)},
        held={},
        instances={},
        usd_per_hour=usd / hours,
        usd_per_million=usd / completion * 1e6 if completion else None,
        idle=nan,
        prompt_tokens_per_s=prompt / requests.duration_s,
        completion_tokens_per_s=completion / requests.duration_s,
        quality=plan.quality,
    )
