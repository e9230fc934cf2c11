"""A plan's description: what is refused, by which name, and what its figures come to."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from serve import cli
from serve.commands.plan.description import EngineModel, PlanError, load_plan
from serve.commands.plan.traffic import make_requests
from tests.serve.commands.plan.plans import CURVE, ENGINE, plan


def engine(**changes: Any) -> EngineModel:
    return EngineModel.model_validate(ENGINE | changes)


def test_a_step_between_two_measured_points_lies_on_their_line() -> None:
    assert engine(slots=4, step_ms={1: 10, 3: 20}).step_s() == pytest.approx([0.0, 0.010, 0.015, 0.020, 0.020])


@given(st.dictionaries(st.integers(1, 64), st.floats(0.1, 1e4), min_size=1), st.integers(1, 80))
def test_a_curve_keeps_to_its_points_and_between_its_ends(step_ms: dict[int, float], slots: int) -> None:
    step_s = engine(slots=slots, step_ms=step_ms).step_s()
    assert len(step_s) == slots + 1
    assert all(step_s[count] == pytest.approx(time / 1e3) for count, time in step_ms.items() if count <= slots)
    assert all(min(step_ms.values()) / 1001 <= time <= max(step_ms.values()) / 999 for time in step_s[1:])


def test_a_bucket_pads_short_prompts_alone() -> None:
    padded = engine(bucket=300)
    assert [padded.prefill_tokens(prompt) for prompt in (1, 300, 301)] == [300, 300, 301]
    assert engine().prefill_tokens(7) == 7


@pytest.mark.parametrize(
    ("changes", "price"),
    [
        ({}, (0.7582, 2)),
        ({"usd_per_hour": 0.3}, (0.3, 2)),
        ({"usd_per_hour": 0}, (0.0, 2)),  # a machine that is paid for
        ({"instance_cores": 1}, (0.7582, 1)),
        ({"instance": "our-own", "usd_per_hour": 1.5, "instance_cores": 64}, (1.5, 64)),
    ],
)
def test_what_the_plan_says_of_an_instance_wins(changes: dict[str, Any], price: tuple[float, int]) -> None:
    assert engine(**changes).price() == pytest.approx(price)


@pytest.mark.parametrize("said", [{}, {"usd_per_hour": 1.0}, {"instance_cores": 4}])
def test_an_instance_that_nobody_knows_is_named(said: dict[str, Any]) -> None:
    with pytest.raises(PlanError, match="'our-own' is not in"):
        engine(instance="our-own", **said).price()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"slots": 0}, "slots"),
        ({"step_ms": {}}, "step_ms"),
        ({"step_ms": {0: 10}}, "step_ms"),
        ({"step_ms": {1: 0}}, "step_ms"),
        ({"step_ms": {1: float("nan")}}, "step_ms"),
        ({"queue": -1}, "queue"),
        ({"instance_cores": 0}, "instance_cores"),
        ({"usd_per_hour": -1}, "usd_per_hour"),
        ({"source": ""}, "source"),
    ],
)
def test_an_engine_that_cannot_be_is_refused(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        engine(**changes)


@pytest.mark.parametrize("replicas", [(2, 1), (-1, 1), (0, 0)])
def test_replicas_are_fewest_and_most(replicas: tuple[int, int]) -> None:
    with pytest.raises(ValidationError, match="only: replicas are"):
        plan(expert={"replicas": replicas})


@pytest.mark.parametrize("target", [0, -1])
def test_a_target_below_one_request_is_refused(target: float) -> None:
    with pytest.raises(ValidationError, match="target_ongoing"):
        plan(expert={"target_ongoing": target})


def test_traffic_has_a_rate_or_a_log() -> None:
    with pytest.raises(ValidationError, match="say requests_per_s, or log"):
        plan(traffic={"hours": 1})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"experts": {"a": {"engine": "x", "share": 1}}}, "engine 'x' is none of e"),
        ({"default": "nobody"}, "default 'nobody'"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_a_wrong_description_is_one_line(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    file = tmp_path / "plan.yaml"
    content = json.loads(plan().model_dump_json(exclude_none=True)) | change
    file.write_text(json.dumps(content))
    with pytest.raises(PlanError, match=message) as caught:
        load_plan(file)
    assert "\n" not in str(caught.value)


def test_a_plan_names_a_measured_curve(tmp_path: Path) -> None:
    (tmp_path / "curve.json").write_text(json.dumps(CURVE))
    content = json.loads(plan().model_dump_json(exclude_none=True))
    content["engines"] = {"e": {"curve": "curve.json", "slots": 8, "instance": "inf2.xlarge", "cores": 2}}
    (tmp_path / "plan.yaml").write_text(json.dumps(content))
    engine = load_plan(tmp_path / "plan.yaml").engines["e"]
    assert (engine.slots, engine.latency_ms, engine.source) == (8, 8, "made up")
    (tmp_path / "curve.json").unlink()
    with pytest.raises(PlanError, match=r"curve\.json: cannot be read: it does not exist"):
        load_plan(tmp_path / "plan.yaml")


def test_a_recorded_log_needs_no_rate_and_lies_beside_the_plan(tmp_path: Path) -> None:
    row = {"at_s": 1, "expert": "only", "prompt_tokens": 5, "completion_tokens": 5}
    (tmp_path / "requests.jsonl").write_text(json.dumps(row) + "\n")
    content = json.loads(plan().model_dump_json(exclude_none=True)) | {"traffic": {"log": "requests.jsonl"}}
    (tmp_path / "plan.yaml").write_text(json.dumps(content))
    assert len(make_requests(load_plan(tmp_path / "plan.yaml"))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "a: [",
        "\tx: 1",
        "{a: b: c}",
        "a: 'open",
        "- 1\n- 2",
        "just words",
        "a: 1\na: 2",
        "x: !!python/object:os.system {}",
    ],
)
def test_broken_yaml_is_one_line_that_names_the_file(
    tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "plan.yaml").write_text(text)
    assert cli.main(["plan", str(tmp_path / "plan.yaml")]) == 1
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert all(line.startswith(f"moegate: {tmp_path / 'plan.yaml'}") for line in said.splitlines())
