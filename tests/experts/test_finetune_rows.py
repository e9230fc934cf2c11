"""Rows of a curated set stand beside the recipe's own samples; no torch is needed to see that."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from experts import finetune
from experts.training.budget import Budget
from experts.training.recipe import Hyperparameters, Recipe
from experts.training.recipes.sample import Sample, ask


def rows(path: Path, *more: dict[str, object]) -> Path:
    seeds = [{"id": "r1", "kind": "k", "messages": [{"role": "user", "content": "Hi"}], "answer": "Ho"}, *more]
    path.write_text("".join(json.dumps(row) + "\n" for row in seeds))
    return path


@pytest.mark.parametrize(("method", "answers"), [("sft", ["own", "Ho", "good"]), ("orpo", ["good"])])
def test_rows_are_learned_beside_the_recipes_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, answers: list[str]
) -> None:
    recipe = Recipe(lambda data, seed: [Sample(ask("x"), "own")], Hyperparameters())
    monkeypatch.setattr(finetune, "RECIPES", {"coder": recipe})
    pair = {"messages": [{"role": "user", "content": "Hey"}], "answer": "good", "rejected": "bad"}
    file = rows(tmp_path / "train.jsonl", pair)
    options = finetune._parse(["coder", "--rows", str(file), "--method", method, "--run", str(tmp_path / "run")])
    assert [sample.answer for sample in finetune._plan(options).samples] == answers


def test_within_a_bound_rows_stay_apart_from_the_recipes_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = Recipe(lambda data, seed: [Sample(ask("x"), "own"), Sample(ask("y"), "too")], Hyperparameters())
    monkeypatch.setattr(finetune, "RECIPES", {"coder": recipe})
    words = ["coder", "--rows", str(rows(tmp_path / "train.jsonl")), "--run", str(tmp_path / "run")]
    run = finetune._plan(finetune._parse([*words, "--tokens", "900", "--rehearsal", "0.1", "--limit", "1"]))
    assert (len(run.samples), [one.answer for one in run.rows], run.budget) == (1, ["Ho"], Budget(900, 0.1))


@pytest.mark.parametrize("wrong", [["--tokens", "0"], ["--rehearsal", "1"], ["--rehearsal", "-0.1"]])
def test_a_bound_that_means_nothing_is_refused(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        finetune._parse(["coder", *wrong])
    assert wrong[0] in capsys.readouterr().err


def test_a_row_of_another_form_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"messages": []}')
    assert finetune.main(["coder", "--rows", str(bad), "--run", str(tmp_path / "run")]) == 1
    assert "shape" in capsys.readouterr().err
