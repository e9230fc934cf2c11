"""The selection: Pareto set, lift over the base, and the three files."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experts.catalog.spec import ExpertSpec, Price, UsdPerMillion
from experts.evaluation.options import Option, ResultError, lift, pareto, read_option
from experts.select import main, with_timings

SPEC = ExpertSpec(
    name="coder",
    description="codes",
    base="pypi:none",
    context_window=100,
    licence="MIT",
    price=Price(usd_per_million=UsdPerMillion(prompt=1, completion=2)),
)
RESULT: dict[str, Any] = {
    "expert": "coder",
    "suite": "code",
    "n": 100,
    "scores": {"pass@1": {"value": 0.3, "ci95": [0.2, 0.4], "n": 100}, "one_block": {"value": 1.0, "ci95": [0.9, 1]}},
    "variant": "base",
    "data": {"file": "mbpp.jsonl", "rows": 500, "seed": 0},
    "artifact": {"sha256": "0", "bytes": 145_000_000},
    "measured": {"prompt_tokens": 200.0, "completion_tokens": 100.0, "alone": {"ttft_ms": 20.0, "tokens_per_s": 120.0}},
}
BASE = read_option(RESULT, SPEC, "here")


def test_a_result_becomes_an_option() -> None:
    assert (BASE.quality, BASE.low, BASE.high, BASE.score) == (0.3, 0.2, 0.4, "pass@1")
    assert BASE.usd_per_1000 == pytest.approx(0.4)  # 1000 * (200 * 1e-6 + 100 * 2e-6)
    assert (BASE.ttft_ms, BASE.size_mb, BASE.licence) == (20.0, 145.0, "MIT")


@pytest.mark.parametrize("lacking", ["scores", "measured", "data", "artifact", "suite", "variant"])
def test_a_result_that_lacks_something_is_named(lacking: str) -> None:
    broken = {key: value for key, value in RESULT.items() if key != lacking}
    with pytest.raises(ResultError, match="here"):
        read_option(broken, SPEC, "here")


def test_the_pareto_set_is_what_nothing_beats() -> None:
    better = replace(BASE, variant="adapter", quality=0.5)
    cheaper = replace(BASE, variant="q4", quality=0.2, usd_per_1000=0.1)
    worse = replace(BASE, variant="q2", quality=0.1, usd_per_1000=0.2)
    assert pareto([BASE, better, cheaper, worse]) == [better, cheaper]
    assert pareto([BASE, replace(BASE, variant="twin")]) == [BASE, replace(BASE, variant="twin")]


def test_speed_counts_where_all_have_it_and_other_tasks_never_do() -> None:
    fast = replace(BASE, variant="fast", quality=0.2, ttft_ms=5.0)
    assert pareto([BASE, fast]) == [BASE, fast]
    unknown = replace(fast, ttft_ms=None)
    assert pareto([BASE, unknown]) == [BASE]
    elsewhere = replace(BASE, data="other rows", quality=0.9)
    assert pareto([BASE, elsewhere]) == [BASE, elsewhere]


def test_speed_may_come_from_another_run_of_the_same_variant() -> None:
    slow, elsewhere = replace(BASE, ttft_ms=90.0, tokens_per_s=9.0), replace(BASE, variant="q4", ttft_ms=1.0)
    [timed] = with_timings([slow], [replace(BASE, n=20, quality=0.0), elsewhere])
    assert (timed.ttft_ms, timed.tokens_per_s, timed.quality, timed.n) == (20.0, 120.0, 0.3, 100)
    assert with_timings([slow], [elsewhere]) == [slow]


def test_lift_is_over_the_base_of_the_same_rows() -> None:
    apart = replace(BASE, variant="adapter", quality=0.6, low=0.5, high=0.7)
    near = replace(BASE, variant="q4", quality=0.4, low=0.3, high=0.5)
    options: list[Option] = [BASE, apart, near]
    assert lift(apart, options) == (pytest.approx(0.3), True)
    assert lift(near, options) == (pytest.approx(0.1), False)
    assert lift(BASE, options) is None
    assert lift(replace(apart, data="other rows"), options) is None


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
