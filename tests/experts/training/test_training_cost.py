from pathlib import Path

import pytest

from experts.training.training_cost import Ledger, PlanError, Prices, main, read_plan

PLANS = Path(__file__).parents[3] / "deploy" / "training"


def test_a_run_is_priced_by_its_wall_clock() -> None:
    ledger = Ledger("coder", 720_000, 60.0, 1800.0, 1740.0, Prices(2.0, "a table", instances=3))
    assert ledger.instance_hours == pytest.approx(3.0)
    assert ledger.usd == pytest.approx(6.0)
    assert ledger.tokens_per_s == pytest.approx(400.0)


def test_ninjallms_iteration_comes_out_as_published() -> None:
    ledger = read_plan(PLANS / "ninjallm.yaml")
    assert (ledger.prices.instances, ledger.tokens, ledger.basis) == (32, 20_000_000, "published")
    assert ledger.seconds <= 3 * 3600
    assert ledger.instance_hours == pytest.approx(96)
    assert 990 < ledger.usd < 1000


def test_on_demand_the_budget_ends_sooner() -> None:
    ledger = read_plan(PLANS / "ninjallm-on-demand.yaml")
    assert ledger.affordable_hours(1000) == pytest.approx(1.4535, abs=1e-4)
    assert ledger.usd < 1000


def test_a_plan_that_is_none_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("run: x\n")
    with pytest.raises(PlanError, match=r"wrong\.yaml"):
        read_plan(wrong)
    assert main([str(wrong)]) == 1
    assert "wrong.yaml" in capsys.readouterr().err


def test_the_table_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(PLANS / "ninjallm.yaml"), "--budget", "1000"]) == 0
    printed = capsys.readouterr().out
    assert "USD 999.36" in printed
    assert "3.00 h" in printed
