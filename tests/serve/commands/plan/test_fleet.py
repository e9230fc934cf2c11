"""The simulated fleet against published figures, and its own bookkeeping."""

import json
import time
from pathlib import Path

import numpy as np
import pytest

from loadtests.engine_curve import Answered, fit_prefill, together
from loadtests.plan_validation import carried, draw, simulated
from serve import cli
from serve.commands.plan.description import Plan, PlanError, load_plan
from serve.commands.plan.report import Result, simulate
from serve.commands.plan.traffic import make_requests
from tests.serve.commands.plan.plans import CURVE, ENGINE, FIXED, ROOT, plan


def test_chunked_prefill_spares_those_who_run() -> None:
    """Whole prompts hold up everybody's next token at once; chunks spread it, and the newcomer waits longer."""
    shape = {"prefill_ms_per_token": 2, "slots": 8}
    slow = {"prompt": {"median": 512, "sigma": 0}, "answer": {"median": 200, "sigma": 0}}
    traffic = {"requests_per_s": 0.4, "hours": 2}
    whole = simulate(plan(shape, slow, traffic=traffic)).latency["all"]
    chunked = simulate(plan(shape | {"chunk_tokens": 32}, slow, traffic=traffic)).latency["all"]
    assert chunked.itl_p50 == pytest.approx(whole.itl_p50, rel=0.05)
    assert chunked.ttft_p50 > whole.ttft_p50 + 0.1


def published(replicas: int, instance: str) -> Result:
    """The published inf2 configuration under more load than it can take."""
    content = load_plan(ROOT / "deploy" / "plan.yaml").model_dump()
    engine = content["engines"]["llama-8b-tp8"] | {"queue": 400, "instance": instance}
    expert = {
        "engine": "e",
        "share": 1,
        "replicas": [replicas] * 2,
        "prompt": FIXED,
        "answer": {"median": 256, "sigma": 0},
    }
    traffic = {"requests_per_s": 3.0 * replicas, "hours": 1}
    return simulate(Plan.model_validate({"engines": {"e": engine}, "experts": {"only": expert}, "traffic": traffic}))


def test_the_published_saturation_comes_out_of_the_configuration() -> None:
    """426 tokens/s of one group (fitted); 1226 of three on inf2.48xlarge at 2.94 USD per million (not fitted)."""
    assert published(1, "inf2.48xlarge").completion_tokens_per_s == pytest.approx(426, rel=0.03)
    three = published(3, "inf2.48xlarge")
    assert three.completion_tokens_per_s == pytest.approx(1226, rel=0.06)
    assert three.usd_per_million == pytest.approx(2.94, rel=0.06)
    four = published(4, "trn1.32xlarge")
    assert four.completion_tokens_per_s == pytest.approx(1607, rel=0.08)


def test_every_request_ends_once_or_is_refused() -> None:
    made = plan({"queue": 3}, traffic={"requests_per_s": 12, "hours": 0.2, "bursts": {"per_hour": 20, "factor": 4}})
    result = simulate(made)
    ended = np.isfinite(result.outcome.end_s).sum()
    assert ended + result.outcome.refused == len(result.requests)
    assert result.outcome.refused > 0
    assert (np.array(result.outcome.end_s) >= np.array(result.outcome.first_s))[np.isfinite(result.outcome.end_s)].all()


def test_replicas_follow_the_load_after_their_delays() -> None:
    made = plan(
        {"start_s": 30, "slots": 4},
        {"replicas": [1, 5]},
        traffic={"requests_per_s": 10, "hours": 24, "shape": "diurnal", "peak_to_mean": 2},
        fleet={"upscale_delay_s": 10, "downscale_delay_s": 60, "node_start_s": 60},
    )
    result = simulate(made)
    counts = [replicas[0] for _, replicas, _ in result.outcome.history]
    mean, most = result.held["only"].replicas, result.held["only"].most
    assert (min(counts), most) == (1, 5)
    assert 1 < mean < 5
    assert counts[0] == 1
    assert result.instances["inf2.xlarge"] == pytest.approx(mean, rel=0.01)  # 2 cores each: one a replica
    assert result.usd_per_hour == pytest.approx(mean * 0.7582, rel=0.01)


def test_a_cold_expert_is_answered_for_until_it_is_there() -> None:
    rare = {"engine": "e", "share": 0.02, "replicas": [0, 1], "prompt": FIXED, "answer": FIXED}
    usual = rare | {"share": 1, "replicas": [1, 1]}
    made = Plan.model_validate(
        {
            "engines": {"e": ENGINE | {"start_s": 10}},
            "experts": {"rare": rare, "usual": usual},
            "traffic": {"requests_per_s": 1, "hours": 4},
            "fleet": {"downscale_delay_s": 60, "node_start_s": 20},
        }
    )
    result = simulate(made)
    assert 0 < len(result.outcome.cold) < sum(result.requests.expert == 0)
    first_s = np.array(result.outcome.first_s)[result.outcome.cold]
    assert (first_s < result.requests.at_s[result.outcome.cold] + 1).all()  # the fallback's wait is the report's to add
    assert result.latency["usual"].ttft_p99 >= 1
    assert result.outcome.refused == 0
    assert result.held["rare"].replicas < 1


def test_lost_instances_cost_time_and_no_request() -> None:
    shape = {"replicas": [3, 3], "answer": {"median": 400, "sigma": 0}}
    spot = {"spot": {"losses_per_instance_hour": 0.5, "price_factor": 0.4}, "node_start_s": 60}
    traffic = {"requests_per_s": 1.5, "hours": 12}
    calm, rough = simulate(plan({}, shape, traffic=traffic)), simulate(plan({}, shape, traffic=traffic, fleet=spot))
    assert rough.outcome.restarted > 0
    assert np.isfinite(rough.outcome.end_s).sum() + rough.outcome.refused == len(rough.requests)
    assert rough.latency["all"].ttft_p99 > calm.latency["all"].ttft_p99
    assert rough.usd_per_hour < 0.5 * calm.usd_per_hour


def test_the_same_seed_gives_the_same_day() -> None:
    assert simulate(plan()).as_dict() == simulate(plan()).as_dict()


def test_a_recorded_log_is_played(tmp_path: Path) -> None:
    rows = [{"at_s": 100 + n, "expert": "only", "prompt_tokens": 5, "completion_tokens": 9} for n in range(20)]
    (tmp_path / "log.jsonl").write_text("\n".join(map(json.dumps, rows)))
    made = plan(traffic={"requests_per_s": 1, "log": tmp_path / "log.jsonl"})
    result = simulate(made)
    assert len(result.requests) == 20
    assert result.latency["all"].itl_p50 == pytest.approx(0.010)
    (tmp_path / "log.jsonl").write_text('{"at_s": 1, "expert": "nobody", "prompt_tokens": 5, "completion_tokens": 9}')
    with pytest.raises(PlanError, match="not a log of this plan's experts"):
        simulate(made)


def test_a_gateways_own_log_is_played(tmp_path: Path) -> None:
    """As `serve.telemetry.logs` writes it and `LogObserver` fills it: a request came its duration before its line."""
    sent = {"event": "request", "expert": "only", "prompt_tokens": 50, "completion_tokens": 20, "outcome": "ok"}
    lines = [
        {"event": "started", "time": "2026-11-21T12:00:00.000000Z", "level": "info"},
        sent | {"time": "2026-11-21T12:00:09.500000Z", "duration_ms": 1500.0},
        sent | {"time": "2026-11-21T12:00:08.500000Z", "duration_ms": 2500.0},
        sent | {"time": "2026-11-21T12:00:09.000000Z", "duration_ms": 0.2, "expert": "none", "prompt_tokens": 0},
    ]
    (tmp_path / "gateway.log").write_text("\n".join(map(json.dumps, lines)))
    made = make_requests(plan(traffic={"requests_per_s": 1, "log": tmp_path / "gateway.log"}))
    assert made.at_s.tolist() == [0.0, 2.0]
    assert (made.prompt.tolist(), made.answer.tolist()) == ([50, 50], [20, 20])


@pytest.mark.slow
def test_a_million_requests_take_less_than_a_minute() -> None:
    made = plan(
        {"slots": 32}, {"replicas": [8, 8]}, traffic={"requests_per_s": 1e6 / 86400, "hours": 24, "shape": "diurnal"}
    )
    began = time.process_time()
    result = simulate(made)
    assert len(result.requests) == pytest.approx(1e6, rel=0.01)
    assert time.process_time() - began < 60


def test_the_command_prints_a_table_or_json_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = json.loads(plan(one_big={"engine": "e", "share": 1}).model_dump_json(exclude_none=True))
    (tmp_path / "plan.yaml").write_text(json.dumps(content))
    pictures = ["--pictures", str(tmp_path / "pictures")]
    assert cli.main(["plan", str(tmp_path / "plan.yaml"), *pictures]) == 0
    told = capsys.readouterr().out
    assert "one big model" in told
    assert "engine e: made up" in told
    assert {path.name for path in (tmp_path / "pictures").iterdir()} == {
        "alternatives.png",
        "experts.png",
        "one-big-model.png",
    }
    assert cli.main(["plan", str(tmp_path / "plan.yaml"), "--json"]) == 0
    experts, big = json.loads(capsys.readouterr().out)
    assert experts["requests"] == big["requests"]
    assert cli.main(["plan", str(tmp_path / "nothing.yaml")]) == 1
    assert "cannot be read" in capsys.readouterr().err


def test_validation_simulates_the_requests_it_sent() -> None:
    requests = draw(2.0, 60, seed=1)
    throughput, ttft_s = simulated(CURVE, requests)
    assert throughput == pytest.approx(requests.answer.sum() / 60, rel=0.1)
    assert 0.02 < ttft_s < 0.2


def test_the_load_is_of_what_the_engine_can_carry() -> None:
    """At three quarters of it nobody waits long; at five quarters the queue grows without end."""
    below, above = (draw(share * carried(CURVE), 300, seed=2) for share in (0.75, 1.25))
    assert simulated(CURVE, below)[1] < 0.25
    assert simulated(CURVE, above)[1] > 10


def test_the_fit_finds_what_made_the_points() -> None:
    """Alone: 8 ms of way, 10 of a step, 5 for being a prompt, 0.2 a token; beside others only the last two count."""
    points = [(n, 8 + 10 + 5 + 0.2 * n) for n in (20, 70, 130, 240)]
    fitted = fit_prefill(points, step_ms=10.0, beside_ms=5 + 0.2 * 20)
    assert fitted == {
        "prefill_ms": pytest.approx(5.0),
        "prefill_ms_per_token": pytest.approx(0.2),
        "latency_ms": pytest.approx(8.0),
    }


def test_a_step_is_timed_while_all_run() -> None:
    """Two answers at 10 ms a token; until 0.5 s the first one waits 100 ms a token for the other's prompt."""
    slow = [(0.1 * n, n) for n in range(1, 6)] + [(0.5 + 0.01 * n, 5 + n) for n in range(1, 40)]
    late = [(0.5 + 0.01 * n, n + 1) for n in range(60)]
    answers = [Answered(0.1, 0.1, 20, len(stamps), tuple(stamps)) for stamps in (slow, late)]
    assert together(answers) == pytest.approx([10.0, 10.0])
