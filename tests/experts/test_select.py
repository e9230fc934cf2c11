"""The selection: timings out of other runs, and the three files."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from experts.select import main, with_timings
from tests.experts.evaluation.results import BASE, RESULT


def test_speed_may_come_from_another_run_of_the_same_variant() -> None:
    slow, elsewhere = replace(BASE, ttft_ms=90.0, tokens_per_s=9.0), replace(BASE, variant="q4", ttft_ms=1.0)
    [timed] = with_timings([slow], [replace(BASE, n=20, quality=0.0), elsewhere])
    assert (timed.ttft_ms, timed.tokens_per_s, timed.quality, timed.n) == (20.0, 120.0, 0.3, 100)
    assert with_timings([slow], [elsewhere]) == [slow]


def test_the_command_writes_table_data_and_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = tmp_path / "results"
    results.mkdir()
    adapter = RESULT | {
        "variant": "adapter",
        "scores": {"pass@1": {"value": 0.6, "ci95": [0.5, 0.7], "n": 100}},
        "measured": RESULT["measured"] | {"alone": {"ttft_ms": None, "tokens_per_s": None}},
    }
    for name, content in (("base", RESULT), ("adapter", adapter), ("other", {"a": 1})):
        (results / f"{name}.json").write_text(json.dumps(content))
    out = tmp_path / "out"
    assert main(["--results", str(results), "--out", str(out), "--json"]) == 0
    table = (out / "selection.md").read_text()
    assert "| **adapter** | 0.600 (0.500 to 0.700) | 100 | +0.300, apart |" in table
    assert "| base | 0.300 (0.200 to 0.400) | 100 | - |" in table
    data = json.loads((out / "selection.json").read_text())
    assert [(option["variant"], option["pareto"]) for option in data["options"]] == [("base", False), ("adapter", True)]
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == data
    assert (out / "selection.png").read_bytes().startswith(b"\x89PNG")


def test_no_results_and_broken_ones_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--results", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    (tmp_path / "x.json").write_text("{")
    assert main(["--results", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    assert "not JSON" in capsys.readouterr().err
