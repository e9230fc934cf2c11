"""`experts.finetune` from command line to adapter, on a tiny base: stopped, gone on with, and what its ledger says."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import TrainerCallback

from experts import finetune
from experts.artifacts.store import Artifact
from experts.commands.messages import INTERRUPTED
from experts.training import cpu
from experts.training.recipe import Hyperparameters, Recipe
from experts.training.recipes.sample import Sample, ask
from experts.training.run_folder import last_checkpoint
from experts.training.spent import read_spent
from tests.experts.training.conftest import LetterTokenizer

pytestmark = pytest.mark.filterwarnings("ignore")  # torch's and transformers' own
STEPS = 12
Command = Callable[..., int]


class At(TrainerCallback):  # type: ignore[misc]  # transformers ships no types
    """Does something after a step, as the outside world would."""

    def __init__(self, step: int, act: Callable[[], None]) -> None:
        self._step = step
        self._act = act

    def on_step_end(self, args: Any, state: Any, control: Any, **parts: Any) -> None:
        if state.global_step == self._step:
            self._act()


@pytest.fixture
def command(tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command on eight samples, three epochs of four steps; `at` says when something happens, `act` what."""
    samples = [Sample(ask(f"Say {n}"), f"{n} said") for n in range(8)]
    recipe = Recipe(lambda data, seed: samples, Hyperparameters(batch_size=2, learning_rate=1e-2, epochs=3))
    monkeypatch.setattr(finetune, "RECIPES", {"coder": recipe})
    monkeypatch.setattr(cpu, "unpacked_base", lambda base, store: Artifact(tiny_base, "0"))
    monkeypatch.setattr(cpu, "AutoTokenizer", type("Auto", (), {"from_pretrained": lambda base: LetterTokenizer()}))
    make = cpu.make_trainer

    def run(*arguments: str, at: int = 0, act: Callable[[], None] = lambda: None) -> int:
        monkeypatch.setattr(cpu, "make_trainer", lambda *parts: make(*parts[:4], [*parts[4], At(at, act)]))
        return finetune.main(["coder", *arguments])

    return run


def press_ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def kill() -> None:
    raise KeyboardInterrupt


def ledger(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / "adapter" / "ledger.json").read_text())
    return content


@pytest.mark.parametrize("ask_to_stop", [press_ctrl_c, lambda: os.kill(os.getpid(), signal.SIGTERM)])
@pytest.mark.parametrize("at", [1, 5])
def test_a_stopped_run_keeps_a_checkpoint_and_says_how_to_go_on(
    command: Command, tmp_path: Path, at: int, ask_to_stop: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(signal.SIGINT)
    run = tmp_path / "run"
    assert command("--run", str(run), at=at, act=ask_to_stop) == INTERRUPTED
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert "Give the same command to go on." in said
    assert signal.getsignal(signal.SIGINT) is before
    checkpoint = last_checkpoint(run)
    assert checkpoint is not None
    assert checkpoint.name in {f"checkpoint-{at}", f"checkpoint-{at + 1}"}
    assert command("--run", str(run)) == 0
    assert f"going on from {checkpoint.name}" in capsys.readouterr().err


def test_the_ledger_counts_every_session_once(command: Command, tmp_path: Path) -> None:
    assert command("--run", str(tmp_path / "whole")) == 0
    whole = ledger(tmp_path / "whole")
    run = tmp_path / "run"
    seconds = 0.0
    for at in (3, 7, 9):
        assert command("--run", str(run), at=at, act=press_ctrl_c) == INTERRUPTED
        spent = read_spent(last_checkpoint(run))
        assert spent.train_s > seconds
        assert 0 < spent.tokens < whole["tokens"]
        seconds = spent.train_s
    assert command("--run", str(run)) == 0
    found = ledger(run)
    assert found["tokens"] == whole["tokens"] > 0
    assert found["train_s"] > seconds
    assert found["tokens_per_s"] == pytest.approx(found["tokens"] / found["train_s"])


def test_a_killed_session_counts_up_to_its_last_checkpoint(command: Command, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert command("--run", str(run), at=4, act=press_ctrl_c) == INTERRUPTED
    kept = read_spent(last_checkpoint(run))
    assert command("--run", str(run), at=8, act=kill) == INTERRUPTED
    assert read_spent(last_checkpoint(run)) == kept
    assert command("--run", str(run)) == 0
    assert command("--run", str(tmp_path / "whole")) == 0
    assert ledger(run)["tokens"] == ledger(tmp_path / "whole")["tokens"]


def test_a_checkpoint_without_a_note_is_not_counted(command: Command, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert command("--run", str(run), at=5, act=press_ctrl_c) == INTERRUPTED
    checkpoint = last_checkpoint(run)
    assert checkpoint is not None
    step = int(checkpoint.name.rpartition("-")[2])
    (checkpoint / "spent.json").unlink()
    assert command("--run", str(run)) == 0
    assert command("--run", str(tmp_path / "whole")) == 0
    whole = ledger(tmp_path / "whole")["tokens"]
    assert ledger(run)["tokens"] == pytest.approx(whole * (STEPS - step) / STEPS, abs=1)


def test_a_checkpoint_that_was_cut_short_is_passed_over(command: Command, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert command("--run", str(run), at=4, act=press_ctrl_c) == INTERRUPTED
    (run / "checkpoint-90").mkdir()  # begun and not finished
    assert command("--run", str(run)) == 0


def test_another_run_is_only_forgotten_when_told(
    command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert command("--run", str(run), at=4, act=press_ctrl_c) == INTERRUPTED
    (run / "notes.txt").write_text("mine")
    (last_checkpoint(run) or run).joinpath("mine.txt").write_text("mine, too")
    assert command("--run", str(run), "--rank", "2") == 1
    assert "--fresh" in capsys.readouterr().err
    assert last_checkpoint(run) is not None
    assert command("--run", str(run), "--rank", "2", "--fresh") == 0
    assert (run / "notes.txt").read_text() == "mine"
    assert [path.read_text() for path in run.glob("checkpoint-*/mine.txt")] == ["mine, too"]
    assert ledger(run)["tokens"] > 0


def test_the_adapter_goes_where_it_was_asked_for(command: Command, tmp_path: Path) -> None:
    output = tmp_path / "adapters" / "mine"
    for _ in range(2):  # the second time over its own
        assert command("--run", str(tmp_path / "run"), "--output", str(output)) == 0
        assert {path.name for path in output.iterdir()} == {
            "adapter_model.safetensors",
            "adapter_config.json",
            "ledger.json",
        }
