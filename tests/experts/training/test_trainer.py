import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file
from transformers import TrainerCallback
from transformers.trainer_utils import get_last_checkpoint

from experts.training import trainer as training
from experts.training.adapter_file import save_adapter
from experts.training.encode import Encoded
from experts.training.progress import ShowProgress
from experts.training.recipe import Hyperparameters
from experts.training.trainer import LikeLengths, load_model, make_trainer

pytestmark = pytest.mark.filterwarnings("ignore")  # torch's and transformers' own
SFT = Hyperparameters(batch_size=2, learning_rate=1e-2, epochs=3)
SAMPLES = [Encoded((5 + n, 6, 7 + n), (8, 9 + n, 2), (9, 8, 2)) for n in range(8)]


class StopAt(TrainerCallback):  # type: ignore[misc]  # transformers ships no types
    """Ends a run as a kill would: after a step, with nothing said to the Trainer."""

    def __init__(self, step: int) -> None:
        self._step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **parts: Any) -> None:
        if state.global_step == self._step:
            raise KeyboardInterrupt


def run(base: Path, folder: Path, hyperparameters: Hyperparameters, stop: int | None = None) -> Any:
    show = ShowProgress(Console(file=io.StringIO()), 48, folder.parent / f"{folder.name}.jsonl")
    callbacks: list[TrainerCallback] = [show] if stop is None else [show, StopAt(stop)]
    trainer = make_trainer(load_model(base, hyperparameters), SAMPLES, hyperparameters, folder, callbacks)
    trainer.train(resume_from_checkpoint=get_last_checkpoint(str(folder)) if folder.exists() else None)
    return trainer


@pytest.mark.parametrize("method", ["sft", "orpo"])
def test_the_loss_falls(tiny_base: Path, tmp_path: Path, method: Any) -> None:
    hyperparameters = replace(SFT, method=method, epochs=30, learning_rate=5e-2)
    losses = [
        entry["loss"]
        for entry in run(tiny_base, tmp_path / "run", hyperparameters).state.log_history
        if "loss" in entry
    ]
    assert losses[-1] < losses[0] - 0.1


def test_a_killed_run_goes_on_exactly(tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "CHECKPOINT_STEPS", 3)
    whole = run(tiny_base, tmp_path / "whole", SFT)
    with pytest.raises(KeyboardInterrupt):
        run(tiny_base, tmp_path / "cut", SFT, stop=7)
    assert get_last_checkpoint(str(tmp_path / "cut")).endswith("checkpoint-6")
    resumed = run(tiny_base, tmp_path / "cut", SFT)
    save_adapter(whole.model, tmp_path / "a", "base")
    save_adapter(resumed.model, tmp_path / "b", "base")
    one, two = (load_file(tmp_path / name / "adapter_model.safetensors") for name in "ab")
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_batches_are_of_like_lengths_and_come_in_any_order() -> None:
    lengths = [*range(1, 41), *range(1, 42)]
    order = list(LikeLengths(lengths, 4, seed=0))
    batches = [[lengths[at] for at in order[start : start + 4]] for start in range(0, 80, 4)]
    assert sorted(order) == list(range(81))
    assert sum(max(batch) - min(batch) for batch in batches) < 15 * len(batches)  # 25 where they are drawn at random
    assert any(max(one) < min(later) for at, one in enumerate(batches[:4]) for later in batches[at + 1 : 5])
    assert order == list(LikeLengths(lengths, 4, seed=0)) != list(LikeLengths(lengths, 4, seed=1))


def test_only_the_adapter_learns_and_in_float32(tiny_base: Path) -> None:
    model = load_model(tiny_base, SFT)
    learnt = {name: parameter.dtype for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert learnt
    assert all("lora_" in name and dtype == torch.float32 for name, dtype in learnt.items())
