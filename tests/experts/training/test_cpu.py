"""A run on the CPU from samples to adapter and ledger; stopping and going on are tested with the command."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from experts.artifacts.store import Artifact
from experts.training import cpu
from experts.training.budget import Budget, TooSmall
from experts.training.recipe import Hyperparameters
from experts.training.recipes.sample import Sample, ask
from experts.training.run import Run
from experts.training.training_cost import Prices
from tests.experts.entries import expert_spec
from tests.experts.training.conftest import LetterTokenizer

pytestmark = pytest.mark.filterwarnings("ignore")  # torch's and transformers' own
PRICES = Prices(3.6, "a test")
SAMPLES = [Sample(ask("Say a"), "aaaa"), Sample(ask("Say b"), "bb")]


@pytest.fixture
def run(tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(cpu, "unpacked_base", lambda base, store: Artifact(tiny_base, "0"))
    monkeypatch.setattr(cpu, "AutoTokenizer", type("Auto", (), {"from_pretrained": lambda base: LetterTokenizer()}))
    (tmp_path / "run").mkdir()
    return Run(expert_spec(), SAMPLES, Hyperparameters(batch_size=1, epochs=2), tmp_path / "run")


def length(text: str) -> int:
    """Of a prompt as the stand-in tokeniser writes it."""
    return len(f"<user>{text};<assistant>")


def test_the_ledger_counts_prompts_and_answers_over_all_epochs(run: Run) -> None:
    ledger = cpu.train(run, PRICES, Console(file=io.StringIO()))
    assert ledger.run == "parrot"
    assert ledger.tokens == 2 * (2 * length("Say a") + (4 + 1) + (2 + 1))
    assert min(ledger.load_s, ledger.train_s, ledger.save_s) > 0
    assert ledger.prices == PRICES
    config = json.loads((run.folder / "adapter" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "pypi:none"


def test_a_prompt_counts_once_for_each_of_its_answers(run: Run) -> None:
    pair = [Sample(ask("Say a"), "aaaa", "b")]
    hyperparameters = replace(run.hyperparameters, method="orpo", epochs=1)
    ledger = cpu.train(replace(run, samples=pair, hyperparameters=hyperparameters), PRICES, Console(file=io.StringIO()))
    assert ledger.tokens == 2 * length("Say a") + (4 + 1) + (1 + 1)


def test_what_is_too_long_is_left_out_and_said(run: Run) -> None:
    out = io.StringIO()
    samples = [*SAMPLES, Sample(ask("Say " + "c" * 200), "c")]
    run = replace(run, samples=samples, hyperparameters=replace(run.hyperparameters, longest=100, epochs=1))
    ledger = cpu.train(run, PRICES, Console(file=out, width=200))
    assert out.getvalue().startswith("2 samples of 54 tokens, in 2 rows 54 an epoch; 1 too long and left out\n")
    assert ledger.tokens == 54


def test_a_bounded_run_takes_the_given_rows_first(run: Run) -> None:
    out = io.StringIO()
    rows = [Sample(ask("Say c"), "c" * 4), Sample(ask("Say d"), "d" * 4)]
    one = length("Say c") + 5
    run = replace(run, rows=rows, budget=Budget(2 * 2 * one, 0.5))
    ledger = cpu.train(run, PRICES, Console(file=out, width=200))
    assert "1 of 2 rows, 1 of 2 samples of the recipe" in out.getvalue()
    assert 0 < ledger.tokens <= 4 * one


def test_a_bound_that_nothing_fits_into_is_told(run: Run) -> None:
    with pytest.raises(TooSmall, match="no sample fits; give --tokens more"):
        cpu.train(replace(run, budget=Budget(3, 0.25)), PRICES, Console(file=io.StringIO()))
