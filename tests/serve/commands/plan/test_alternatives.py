"""What else could answer the same requests, at which price, how fast and how well."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from serve.commands.plan.alternatives import compare
from serve.commands.plan.command import plan as command
from serve.commands.plan.description import PlanError, load_plan
from serve.commands.plan.report import Result
from serve.commands.plan.table import decision, table
from tests.serve.commands.plan.plans import ENGINE, ROOT, plan

OTHER = {"dear": ENGINE | {"usd_per_hour": 100.0, "instance_cores": 2, "instance": "z"}}
API = {"usd_per_million": {"prompt": 2.0, "completion": 4.0}, "source": "a price page"}
QUALITY = {"score": 0.7, "ci95": [0.6, 0.8], "n": 50, "source": "made up"}


def results(alternatives: dict[str, Any], **more: Any) -> dict[str, Result]:
    engines = {"e": ENGINE, **OTHER}
    return {one.title: one for one in compare(plan(alternatives=alternatives, engines=engines, **more))}


def test_an_api_is_paid_by_the_token_and_what_is_unknown_stays_open() -> None:
    found = results({"api": {"api": API}})
    mine, bought = found["experts"], found["api"]
    count = len(mine.requests)
    assert bought.usd_per_hour == pytest.approx(count * 50 * (2 + 4) / 1e6)
    assert bought.usd_per_million == pytest.approx(2 + 4)  # prompts are as long as answers here
    told = json.loads(json.dumps(bought.as_dict()).replace("NaN", "null"))
    assert (told["ttft_s"]["p50"], told["requests"]) == (None, count)
    known = results({"api": {"api": {**API, "ttft_s": 0.4, "itl_s": 0.02}}})["api"].latency["all"]
    assert (known.ttft_p50, known.itl_p50) == (0.4, 0.02)


def test_every_alternative_answers_the_very_same_requests() -> None:
    found = results({"one": {"model": {"engine": "dear", "share": 1}}, "api": {"api": API}})
    assert found["one"].requests.at_s is found["experts"].requests.at_s
    assert found["api"].requests is found["experts"].requests
    assert set(found["one"].held) == {"model"}


def test_spot_and_other_engines_are_the_experts_elsewhere() -> None:
    spot = {"losses_per_instance_hour": 0, "price_factor": 0.25}
    found = results({"spot": {"spot": spot}, "graviton": {"engines": {"e": "dear"}}}, quality=QUALITY)
    mine = found["experts"].usd_per_hour
    assert found["spot"].usd_per_hour == pytest.approx(mine / 4)
    assert found["graviton"].usd_per_hour == pytest.approx(100.0)
    assert found["experts"].plan.fleet.spot is None
    assert found["spot"].quality == found["experts"].quality  # they answer


def test_quality_is_whose_it_was_measured_of() -> None:
    found = results(
        {"api": {"api": API}, "one": {"model": {"engine": "e", "share": 1}, "quality": QUALITY}}, quality=None
    )
    assert [one.quality is None for one in found.values()] == [True, True, False]
    assert found["one"].as_dict()["quality"]["n"] == 50


def test_the_decision_names_price_speed_and_quality_in_80_columns() -> None:
    console = Console(width=80, record=True, file=io.StringIO())
    found = list(results({"api": {"api": API}}, quality=QUALITY).values())
    console.print(decision(found))
    console.print(table(found))
    lines = console.export_text().splitlines()
    [mine] = [line.split() for line in lines if line.startswith("experts ")][:1]
    [bought] = [line.split() for line in lines if line.startswith("api ")][:1]
    assert mine[1:4] == [f"{found[0].usd_per_hour:.2f}", "1.00", "x"]
    assert mine[-2:] == ["0.700", "(0.600-0.800)"]
    assert bought[-4:] == ["-", "-", "-", "-"]
    assert all(len(line) <= 80 for line in lines)


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({}, "exactly one of model, api, spot, engines"),
        ({"api": API, "model": {"engine": "e", "share": 1}}, "exactly one of"),
        ({"model": {"engine": "none", "share": 1}}, "alternatives.x: engine 'none' is none of e"),
        ({"engines": {"e": "none"}}, "alternatives.x: engine 'none'"),
        ({"api": {**API, "source": ""}}, "source"),
    ],
)
def test_what_is_no_alternative_is_refused(other: dict[str, Any], told: str, tmp_path: Path) -> None:
    made = plan().model_dump(mode="json", exclude_none=True)
    (tmp_path / "plan.yaml").write_text(json.dumps({**made, "alternatives": {"x": other}}))
    with pytest.raises(PlanError, match=told):
        load_plan(tmp_path / "plan.yaml")


def test_a_canary_s_log_is_played_as_its_expert_s(tmp_path: Path) -> None:
    rows = [
        {"at_s": i, "expert": name, "prompt_tokens": 5, "completion_tokens": 5}
        for i, name in enumerate(["only", "only-canary"])
    ]
    (tmp_path / "log").write_text("\n".join(map(json.dumps, rows)))
    [result] = compare(plan(traffic={"log": str(tmp_path / "log")}))
    assert result.latency["only"].requests == 2
    rows[0]["expert"] = "other-canary"
    (tmp_path / "log").write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(PlanError, match="'other-canary' is none of only"):
        compare(plan(traffic={"log": str(tmp_path / "log")}))


def test_the_command_tells_where_a_price_comes_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import argparse

    made = plan(alternatives={"api": {"api": API}}, quality=QUALITY).model_dump(mode="json", exclude_none=True)
    (tmp_path / "plan.yaml").write_text(json.dumps(made))
    command(argparse.Namespace(file=tmp_path / "plan.yaml", json=False, pictures=tmp_path / "pictures"))
    told = capsys.readouterr().out
    assert "api: a price page" in told
    assert "quality of experts: n 50; made up" in told
    assert {path.name for path in (tmp_path / "pictures").iterdir()} == {"alternatives.png", "experts.png"}
    command(argparse.Namespace(file=tmp_path / "plan.yaml", json=True, pictures=None))
    assert json.loads(capsys.readouterr().out)[1]["ttft_s"]["p99"] is None


def test_the_plan_that_ships_names_its_alternatives() -> None:
    shipped = load_plan(ROOT / "deploy" / "plan.yaml")
    kinds = {
        title: [w for w in ("model", "api", "spot", "engines") if getattr(o, w)]
        for title, o in shipped.alternatives.items()
    }
    assert kinds == {"one 8B": ["model"], "spot": ["spot"], "70B API": ["api"]}
