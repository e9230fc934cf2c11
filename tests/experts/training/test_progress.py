"""What a run shows and counts while it runs, told by the Trainer's events."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from experts.training.progress import ShowProgress
from experts.training.spent import Spent, read_spent

ARGUMENTS = SimpleNamespace(num_train_epochs=2, output_dir="")


class Training:
    """A run of 20 steps over two epochs of 1000 tokens, step by step."""

    def __init__(self, folder: Path, earlier: Spent | None = None, first_step: int = 0) -> None:
        self.out, self.log = io.StringIO(), folder / "losses.jsonl"
        self.show = ShowProgress(Console(file=self.out, width=200), 1000, self.log, earlier)
        self.arguments = SimpleNamespace(num_train_epochs=2, output_dir=str(folder))
        self.state = SimpleNamespace(global_step=first_step, max_steps=20)
        self.tell("train_begin")

    def tell(self, event: str, **parts: Any) -> None:
        getattr(self.show, f"on_{event}")(self.arguments, self.state, None, **parts)

    def step(self, times: int = 1) -> None:
        for _ in range(times):
            self.state.global_step += 1
            self.tell("step_end")


def test_tokens_are_the_share_of_the_steps_that_were_made(tmp_path: Path) -> None:
    training = Training(tmp_path)
    assert training.show.spent.tokens == 0
    training.step(5)
    assert training.show.spent.tokens == pytest.approx(500)
    training.step(15)
    assert training.show.spent.tokens == pytest.approx(2000)


def test_a_run_that_goes_on_counts_what_it_does_itself(tmp_path: Path) -> None:
    training = Training(tmp_path, Spent(tokens=777, load_s=3, train_s=50), first_step=15)
    training.step(5)
    spent = training.show.spent
    assert spent.tokens == pytest.approx(777 + 500)
    assert spent.load_s == 3
    assert spent.train_s > 50


def test_before_it_begins_only_the_earlier_sessions_count(tmp_path: Path) -> None:
    show = ShowProgress(Console(file=io.StringIO()), 1000, tmp_path / "losses.jsonl", Spent(tokens=7))
    assert show.spent == Spent(tokens=7)


def test_the_clock_stops_with_the_training(tmp_path: Path) -> None:
    training = Training(tmp_path)
    training.step(20)
    training.tell("train_end")
    ended = training.show.spent.train_s
    time.sleep(0.01)
    assert training.show.spent.train_s == ended > 0


def test_a_checkpoint_keeps_what_it_took_to_get_there(tmp_path: Path) -> None:
    training = Training(tmp_path)
    training.step(4)
    (tmp_path / "checkpoint-4").mkdir()
    training.tell("save")
    assert read_spent(tmp_path / "checkpoint-4").tokens == pytest.approx(400)


def test_losses_are_kept_a_line_each_and_shown_now_and_then(tmp_path: Path) -> None:
    training = Training(tmp_path)
    for loss in (2.0, 1.5):
        training.step(10)
        training.tell("log", logs={"loss": loss, "learning_rate": 0.1})
    training.tell("log", logs={"train_runtime": 3.0})
    training.tell("log", logs=None)
    lines = [json.loads(line) for line in training.log.read_text().splitlines()]
    assert [(line["step"], line["loss"]) for line in lines] == [(10, 2.0), (20, 1.5)]
    assert all(line["tokens_per_s"] > 0 for line in lines)
    shown = training.out.getvalue().splitlines()
    assert [line.split("  ")[:2] for line in shown] == [["step 10/20", "loss 2.000"], ["step 20/20", "loss 1.500"]]
    assert shown[-1].endswith("0.0 min left")
