from pathlib import Path

import numpy as np
import pytest

from router.evaluate import main as evaluate_main
from router.model.artifact import load
from router.train import Recipe, Trained, main, train
from router.training.dataset import Row


def test_training_is_deterministic(trained: Trained, rows: list[Row]) -> None:
    again = train(rows, Recipe(seed=5, copies=1))
    assert np.array_equal(again.artifact.network.hashed, trained.artifact.network.hashed)
    assert np.array_equal(again.artifact.network.out, trained.artifact.network.out)
    assert again.artifact.training == trained.artifact.training


def test_every_source_is_held_out_once_and_tools_are_left_to_the_rule(trained: Trained) -> None:
    assert trained.held_out is not None
    sources = set(trained.held_out.sources.tolist())
    assert sources == {f"{name}-{at}" for name in ("researcher", "coder", "advisor", "generalist") for at in (0, 1)}
    assert "tool-caller" not in trained.artifact.classes
    assert trained.artifact.tool_probability > 0.5


def test_one_source_trains_without_held_out_figures(rows: list[Row]) -> None:
    alone = train([row for row in rows if row.source == "coder-0"], Recipe(copies=1))
    assert alone.held_out is None and alone.artifact.training["loso_macro"] is None


def test_the_command_writes_an_artifact_that_evaluates(data_file: Path, tmp_path: Path, capsys: object) -> None:
    out = tmp_path / "new" / "router.npz"
    assert main(["--data", str(data_file), "--seeds", str(tmp_path / "none"), "--out", str(out)]) == 0
    assert load(out).training["data"].keys() == {"made.jsonl"}
    assert evaluate_main(["--data", str(data_file), "--artifact", str(out)]) == 0


def test_seeds_alone_train_a_router(data_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seeds, out = data_file.parent, tmp_path / "router.npz"
    assert main(["--seeds", str(seeds)]) == 1
    assert "name --out" in capsys.readouterr().err
    assert main(["--seeds", str(seeds), "--out", str(out)]) == 0
    made = load(out)
    assert made.training["loso_macro"] is None and made.abstain_below == 0.0
    assert set(made.classes) == {"advisor", "coder", "generalist", "researcher"}
