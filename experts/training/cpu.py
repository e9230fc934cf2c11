"""Training on this machine's CPU: the run of `experts.finetune --device cpu`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import torch
from rich.console import Console
from transformers import AutoTokenizer

from experts.artifacts.store import ArtifactStore, default_root
from experts.artifacts.transformers_base import unpacked_base
from experts.training.adapter_file import save_adapter
from experts.training.budget import choose, tokens_of
from experts.training.encode import Encoder
from experts.training.progress import ShowProgress
from experts.training.run_folder import ADAPTER, LOSSES, Stopped, last_checkpoint
from experts.training.share import share
from experts.training.spent import Spent, read_spent
from experts.training.stopping import StopAtRequest
from experts.training.trainer import load_model, make_trainer
from experts.training.training_cost import Ledger, Prices

if TYPE_CHECKING:
    from experts.training.run import Run


def train(run: Run, prices: Prices, console: Console) -> Ledger:
    """Train to the end, from the last checkpoint if there is one; leave the adapter in `run.folder/adapter`.

    Raises:
        BaseUnavailable: the base cannot be had.
        Stopped: a signal asked for it; a checkpoint is kept.
        TooSmall: the run's budget has room for no sample.
    """
    began = time.monotonic()
    torch.use_deterministic_algorithms(mode=True)
    base = unpacked_base(run.spec.base, ArtifactStore(default_root())).path
    encoder = Encoder(AutoTokenizer.from_pretrained(base), run.spec, run.hyperparameters.longest)
    encoded, left_out = choose(run, encoder)
    samples = encoded if run.hyperparameters.method == "orpo" else share(encoded, run.hyperparameters.longest)
    tokens = sum(map(tokens_of, encoded))
    computed = tokens if run.hyperparameters.method == "orpo" else sum(row.length for row in samples)
    console.print(
        f"{len(encoded)} samples of {tokens:,} tokens, in {len(samples)} rows {computed:,} an epoch; {left_out}"
    )
    model, checkpoint = load_model(base, run.hyperparameters, run.start), last_checkpoint(run.folder)
    loaded = time.monotonic()
    show = ShowProgress(console, computed, run.folder / LOSSES, read_spent(checkpoint) + Spent(load_s=loaded - began))
    trainer = make_trainer(model, samples, run.hyperparameters, run.folder, [show, stop := StopAtRequest(console)])
    if checkpoint:
        console.print(f"going on from {checkpoint.name}", highlight=False)
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    finally:
        stop.stop_listening()
    if stop.is_asked and trainer.state.global_step < trainer.state.max_steps:
        raise Stopped(_how_to_go_on(run, trainer.state.global_step, trainer.state.max_steps))
    trained = time.monotonic()
    size = save_adapter(trainer.model, run.folder / ADAPTER, run.spec.base)
    console.print(f"adapter: {size / 1e6:.2f} MB")
    spent = show.spent + Spent(save_s=time.monotonic() - trained)
    return Ledger(run.spec.name, round(spent.tokens), spent.load_s, spent.train_s, spent.save_s, prices)


def _how_to_go_on(run: Run, step: int, steps: int) -> str:
    return f"stopped at step {step} of {steps}; its checkpoint is in {run.folder}. Give the same command to go on."
