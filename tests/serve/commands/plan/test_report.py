"""What a run comes to: latency beside its targets, shares of instances, USD."""

import json

import numpy as np
import pytest

from serve.commands.plan.alternatives import compare
from serve.commands.plan.description import Plan, load_plan
from serve.commands.plan.report import Result, simulate
from serve.commands.plan.traffic import Requests
from tests.serve.commands.plan.plans import ENGINE, ROOT, plan


def four_requests(made: Plan) -> Result:
    """Four at once for one slot: 50 tokens of 10 ms each, the first with the prefill that takes no time."""
    requests = Requests(np.zeros(4), np.zeros(4, dtype=int), np.full(4, 50), np.full(4, 50), 1.0)
    return simulate(made, requests=requests)


def test_percentiles_and_misses_by_hand() -> None:
    """They wait 0, 0.49, 0.98 and 1.47 s; a target of one second is missed by the last."""
    latency = four_requests(plan({"slots": 1}, targets={"ttft_s": 1.0, "itl_s": 1.0})).latency["all"]
    assert latency.ttft_p50 == pytest.approx((0.49 + 0.98) / 2)
    assert latency.ttft_p99 == pytest.approx(1.47, rel=0.02)
    assert (latency.missed, latency.requests, latency.refused) == (1, 4, 0)
    assert latency.missed_share == 0.25


def test_a_slow_stream_misses_as_well() -> None:
    assert four_requests(plan({"slots": 4}, targets={"itl_s": 0.009})).latency["all"].missed == 4


def test_usd_is_per_million_of_the_tokens_that_came() -> None:
    result = four_requests(plan({"queue": 1, "slots": 1, "usd_per_hour": 3600}))
    assert result.latency["all"].refused == 2
    assert result.usd_per_million == pytest.approx(result.outcome.paid_for_s / 100 * 1e6)
    assert result.usd_per_hour == pytest.approx(3600)


def test_spot_costs_its_share_of_on_demand() -> None:
    spot = {"spot": {"losses_per_instance_hour": 0, "price_factor": 0.25}}
    dear, cheap = four_requests(plan()), four_requests(plan(fleet=spot))
    assert cheap.usd_per_hour == pytest.approx(dear.usd_per_hour / 4)


def test_a_run_in_which_nobody_was_answered_has_no_price_a_token() -> None:
    result = four_requests(plan(expert={"replicas": [0, 1]}))
    assert result.usd_per_million is None
    assert result.as_dict()["usd_per_million_completion_tokens"] is None
    assert (result.latency["all"].refused, result.latency["all"].missed_share) == (4, 1.0)


def test_a_plan_without_a_big_model_has_none_to_compare_with() -> None:
    assert len(compare(plan())) == 1


def test_one_request_alone_takes_what_the_curve_says() -> None:
    quiet = plan({"prefill_ms": 20, "prefill_ms_per_token": 1}, traffic={"requests_per_s": 0.01, "hours": 2})
    latency = simulate(quiet).latency["all"]
    assert latency.ttft_p50 == pytest.approx(0.020 + 50 * 0.001)
    assert latency.itl_p50 == pytest.approx(0.010)


def test_a_refused_request_misses_its_target() -> None:
    made = plan({"queue": 0, "slots": 1}, traffic={"requests_per_s": 4, "hours": 0.2}, targets={"ttft_s": 60})
    latency = simulate(made).latency["all"]
    assert latency.missed == latency.refused > 0
    assert latency.missed_share == pytest.approx(latency.refused / latency.requests)
    nobody = Plan.model_validate(made.model_dump() | {"experts": {"only": made.experts["only"].model_dump()}})
    assert simulate(nobody).latency["only"] == latency


def test_an_expert_holds_its_share_of_the_instances() -> None:
    half = {"engine": "e", "share": 1, "replicas": [1, 1]}
    made = Plan.model_validate(
        {
            "engines": {"e": ENGINE | {"instance": "inf2.48xlarge", "cores": 8}},
            "experts": {"a": half, "b": half | {"replicas": [2, 2]}},
            "traffic": {"requests_per_s": 1, "hours": 1},
        }
    )
    result = simulate(made)
    assert result.instances == {"inf2.48xlarge": pytest.approx(1, rel=0.01)}
    assert result.held["a"].instances == pytest.approx(1 / 3, rel=0.01)
    assert result.held["b"].instances == pytest.approx(2 / 3, rel=0.01)
    assert 0 < result.held["b"].idle < 1


def test_experts_and_one_big_model_answer_the_same_requests() -> None:
    experts, big, *_ = compare(load_plan(ROOT / "deploy" / "plan.yaml").model_copy(
        update={"traffic": plan(traffic={"requests_per_s": 1, "hours": 1}).traffic}
    ))  # fmt: skip
    assert len(experts.requests) == len(big.requests)
    assert (experts.requests.answer == big.requests.answer).all()
    assert big.held.keys() == {"one-big"}
    assert "not measured by us" in json.dumps(experts.as_dict())


@pytest.mark.parametrize("seconds", [0.5, 3.8, 5.0, 7.0, 61.0, 119.0])
def test_the_mean_of_replicas_is_never_above_their_most(seconds: float) -> None:
    held = simulate(plan(traffic={"requests_per_s": 4, "hours": seconds / 3600})).held["only"]
    assert held.replicas == pytest.approx(1.0)
    assert held.most == 1


KINDS = {"measured", "published", "estimated"}


@pytest.mark.parametrize("name", ["plan.yaml", "plan.cpu.yaml"])
def test_the_shipped_plans_say_where_their_curves_come_from(name: str) -> None:
    described = load_plan(ROOT / "deploy" / name)
    short = plan(traffic={"requests_per_s": 2, "hours": 0.5}).traffic
    result = simulate(described.model_copy(update={"traffic": short}))
    assert result.usd_per_hour > 0
    assert all(source.split()[0].rstrip(":") in KINDS for source in result.as_dict()["sources"].values())
