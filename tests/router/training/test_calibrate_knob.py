import argparse
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from router.errors import CalibrationError
from router.model.artifact import Artifact, load, save
from router.policy.cost_knob import SETTINGS, Knob
from router.policy.settings import policy_of
from router.train import Trained
from router.training.calibrate_knob import (
    asked_of,
    calibrate_knob,
    halves,
    report_curve,
    settings_of,
    with_reference_knob,
)
from router.training.dataset import Row
from router.training.tradeoff import Field, curve_of, fit_table


def field(cost_of_best: float = 4.0) -> Field:
    """Two experts: the dear one is right more often, by more and more."""
    generator = np.random.default_rng(0)
    better = np.linspace(0, 0.6, 400)
    quality = np.stack([np.full(400, 0.4), 0.4 + better], axis=1)
    usd = np.tile([1.0, cost_of_best], (400, 1))
    return Field(quality, usd, generator.random((400, 2)) < quality, np.full(400, -1), 4.0, np.ones(400))


def options(data: Path, artifact: Path, prices: Path, **changes: object) -> argparse.Namespace:
    usual = {"out": None, "seed": 0, "json": True, "target_cost": 0.7, "target_quality": None}
    return argparse.Namespace(data=[data], artifact=artifact, prices=prices, **{**usual, **changes})


def unsure(trained: Trained) -> Artifact:
    """An artefact that leaves every expert a chance: one sure of everything leaves a price nothing to choose."""
    slope = trained.artifact.slope * 0.2
    return replace(trained.artifact, slope=slope, intercept=np.zeros_like(slope), rival=0.0)


@given(st.lists(st.sampled_from("abcdefg"), min_size=1, max_size=60), st.integers(0, 1000))
def test_no_group_is_on_both_sides_and_no_row_is_lost(groups: list[str], seed: int) -> None:
    first, second = halves(groups, seed)
    assert sorted([*first.tolist(), *second.tolist()]) == list(range(len(groups)))
    assert not {groups[at] for at in first} & {groups[at] for at in second}
    sizes = [len({groups[at] for at in side}) for side in (first, second)]
    assert 0 <= sizes[0] - sizes[1] <= 1


def test_another_seed_gives_other_halves() -> None:
    names = [str(at) for at in range(50)]
    assert not np.array_equal(halves(names, 0)[0], halves(names, 1)[0])
    assert np.array_equal(halves(names, 1)[0], halves(names, 1)[0])


def test_positions_ask_for_even_steps_from_the_whole_cost_to_the_least() -> None:
    asked = asked_of(field())
    assert len(asked) == SETTINGS
    assert (asked[0], asked[-1]) == pytest.approx((1.0, 400 / field().usd_at(0.0)))
    assert np.diff(asked) == pytest.approx(np.full(SETTINGS - 1, (asked[-1] - 1) / (SETTINGS - 1)))


def test_the_report_has_a_line_for_every_setting_and_its_verdict() -> None:
    made = field()
    curve, asked = curve_of(made, Knob(fit_table(made)), seed=0), asked_of(made)
    console = Console(width=100, record=True, file=io.StringIO())
    report_curve(curve, asked, console)
    told = console.export_text()
    assert all(f"{position:.2f}" in told for position in curve.positions)
    assert "monotone within intervals: yes" in told
    report_curve(replace(curve, cost=curve.cost[::-1], cost_ci=curve.cost_ci[::-1]), asked, console)
    assert "monotone within intervals: NO" in console.export_text()


def test_settings_are_plain_values_in_order() -> None:
    made = field()
    curve, asked = curve_of(made, Knob(fit_table(made)), seed=0), asked_of(made)
    rows = json.loads(json.dumps(settings_of(curve, asked)))
    assert [row["position"] for row in rows] == pytest.approx(np.linspace(0, 1, SETTINGS), abs=0.005)
    assert [row["asked"] for row in rows] == asked.tolist()
    assert all(row["cost"]["ci95"][0] <= row["cost"]["value"] <= row["cost"]["ci95"][1] for row in rows)
    assert rows[0]["cost"]["value"] == rows[0]["quality"]["value"] == 1.0


def test_too_few_rows_are_refused_and_nothing_is_written(artifact_file: Path, tmp_path: Path) -> None:
    row = {"source": "s", "messages": [{"role": "user", "content": "x"}], "label": "coder"}
    data, prices, out = (tmp_path / name for name in ("few.jsonl", "prices.json", "out.npz"))
    data.write_text(json.dumps(row) + "\n" + json.dumps(row))
    prices.write_text("{}")
    with pytest.raises(CalibrationError, match=rf"^1 rows are too few: {2 * SETTINGS} or more"):
        calibrate_knob(options(data, artifact_file, prices, out=out))
    assert not out.exists()


def test_without_a_name_the_artefact_is_written_in_its_place_and_the_rest_of_it_stays(
    trained: Trained, data_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prices, artifact = tmp_path / "prices.json", tmp_path / "router.npz"
    save(unsure(trained), artifact)
    before = load(artifact)
    names = (*trained.artifact.classes, "tool-caller")
    prices.write_text(json.dumps({name: {"prompt": at + 1, "completion": at + 1} for at, name in enumerate(names)}))
    assert calibrate_knob(options(data_file, artifact, prices, target_cost=None, target_quality=0.5)) == 0
    line = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    after = load(artifact)
    assert (after.version, line["asked"]) == (line["version"], {"target_quality": 0.5})
    assert after.version != before.version
    assert np.array_equal(after.network.hashed, before.network.hashed)
    assert policy_of(after).switch_gain == policy_of(before).switch_gain


def test_the_reference_table_needs_rows_and_rises(trained: Trained, rows: list[Row]) -> None:
    artifact = unsure(trained)
    table = policy_of(with_reference_knob(artifact, rows)).objective.knob.table
    assert list(table) == sorted(table)
    assert table[0] == 0.0
    assert with_reference_knob(artifact, []) is artifact
