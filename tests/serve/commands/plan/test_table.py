"""The table of a plan's results."""

import io

from rich.console import Console

from serve.commands.plan.alternatives import compare
from serve.commands.plan.description import load_plan
from serve.commands.plan.report import Result, simulate
from serve.commands.plan.table import table
from tests.serve.commands.plan.plans import ROOT, plan


def printed(results: list[Result]) -> list[str]:
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(table(results))
    return console.export_text().splitlines()


def test_each_figure_stands_in_its_column_and_unit() -> None:
    quiet = plan({"prefill_ms": 1500}, traffic={"requests_per_s": 0.001, "hours": 4}, targets={"ttft_s": 1})
    total, expert = printed([simulate(quiet, "mine")])[-2:]
    assert total.split()[:7] == ["mine", "1.0", "1.50", "1.50", "10", "10", "100.0%"]
    assert total.split()[7] == "0.76"
    assert expert.split()[:4] == ["only", "1.0/1", "1.0", "1.50"]


def test_no_answer_has_no_price() -> None:
    nobody = simulate(plan(expert={"replicas": [0, 1]}, traffic={"requests_per_s": 1, "hours": 0.001}))
    assert "-" in printed([nobody])[-2].split()


def test_the_table_shows_every_name_in_80_columns() -> None:
    described = load_plan(ROOT / "deploy" / "plan.yaml")
    results = compare(described.model_copy(update={"traffic": plan(traffic={"requests_per_s": 4, "hours": 1}).traffic}))
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(table(results))
    told = console.export_text()
    assert "…" not in told
    for name in (*described.experts, "experts", "one big model", "one-big"):
        assert any(line.startswith(f"{name} ") for line in told.splitlines()), name
    assert len(told.splitlines()) == 2 + sum(1 + len(result.held) for result in results)
