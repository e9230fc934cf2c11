"""Training on this machine's CPU: the run of `experts.finetune --device cpu`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import torch
from rich.console import Console
from transformers import AutoTokenizer
from transformers.trainer_utils import get_last_checkpoint

from experts.artifacts import ArtifactStore, default_root
from experts.ledger import Ledger, Prices
from experts.training.adapter_file import save_adapter
from experts.training.base import unpacked_base
from experts.training.encode import Encoder
from experts.training.progress import ShowProgress
from experts.training.trainer import load_model, make_trainer

if TYPE_CHECKING:
    from experts.finetune import Run


def train(run: Run, prices: Prices, console: Console) -> Ledger:
    """Train to the end, from the last checkpoint if there is one; leave the adapter in `run.folder/adapter`.

    Raises:
        BaseUnavailable: the base cannot be had.
    """
    began = time.monotonic()
    torch.use_deterministic_algorithms(mode=True)
    base = unpacked_base(run.spec.base, ArtifactStore(default_root())).path
    encoder = Encoder(AutoTokenizer.from_pretrained(base), run.spec.system_prompt, run.wishes.longest)
    samples = encoder.encode_all(run.samples)
    tokens = sum(_tokens(sample.prompt, sample.answer, sample.rejected) for sample in samples)
    left_out = len(run.samples) - len(samples)
    console.print(f"{len(samples)} samples, {tokens:,} tokens an epoch; {left_out} too long and left out")
    show = ShowProgress(console, tokens, run.folder / "losses.jsonl")
    trainer = make_trainer(load_model(base, run.wishes), samples, run.wishes, run.folder, [show])
    checkpoint = get_last_checkpoint(str(run.folder))
    if checkpoint:
        console.print("going on from the last checkpoint")
    loaded = time.monotonic()
    trainer.train(resume_from_checkpoint=checkpoint)
    trained = time.monotonic()
    size = save_adapter(trainer.model, run.folder / "adapter", run.spec.base)
    console.print(f"adapter: {size / 1e6:.2f} MB")
    done = time.monotonic()
    all_tokens = round(tokens * run.wishes.epochs)
    return Ledger(run.spec.name, all_tokens, loaded - began, trained - loaded, done - trained, prices)


def _tokens(prompt: tuple[int, ...], answer: tuple[int, ...], rejected: tuple[int, ...]) -> int:
    """Count what is computed for a sample: the prompt once for each of its answers."""
    return len(prompt) + len(answer) + (len(prompt) + len(rejected) if rejected else 0)
