"""The training loop: transformers' Trainer, with a loss that computes logits for answer tokens only.

Called by `experts.finetune`. The Trainer provides the loop, the optimiser, the schedule, the checkpoints and the exact
resumption. Here are the loss, batches of similar lengths, and the quicker arithmetic around float32 adapter weights.
TRL's SFTTrainer and ORPOTrainer compute logits for whole prompts as well, which nothing here uses.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from peft.helpers import disable_input_dtype_casting
from torch.utils.data import Sampler
from transformers import AutoModelForCausalLM, PrinterCallback, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_pt_utils import get_length_grouped_indices

from experts.training import attention
from experts.training.batch import collate, collate_rows
from experts.training.encode import Encoded
from experts.training.losses import answer_log_probs, orpo_loss, sft_loss
from experts.training.precision import quicker
from experts.training.recipe import Hyperparameters
from experts.training.run_folder import keep_only
from experts.training.share import Row
from experts.training.warm_start import start_from

CHECKPOINT_STEPS = 50
AT_ONCE = 4
"""Samples of one pass; a step adds up several. Twice as many of 1,024 tokens would take 9 GB instead of 5."""


def load_model(folder: Path, hyperparameters: Hyperparameters, start: Path | None = None) -> Any:  # a PeftModel
    """Load the base and put a float32 adapter on every linear layer of it: a fresh one, or `start` grown.

    Raises:
        BaseUnavailable: `start` cannot be read, or is no adapter of these layers and at most that rank.
    """
    torch.manual_seed(hyperparameters.seed)
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=quicker(), attn_implementation=attention.register())
    config = LoraConfig(
        r=hyperparameters.rank,
        lora_alpha=hyperparameters.alpha,
        lora_dropout=hyperparameters.dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    model = get_peft_model(base, config)
    if start is not None:
        start_from(model, start)
    _freeze(model, hyperparameters.frozen_layers)
    return model


def _freeze(model: Any, layers: int) -> None:  # a PeftModel
    for layer in model.get_base_model().model.layers[:layers]:
        layer.requires_grad_(requires_grad=False)


def make_trainer(
    model: Any,  # a PeftModel
    samples: Sequence[Encoded] | Sequence[Row],
    hyperparameters: Hyperparameters,
    folder: Path,
    callbacks: Sequence[TrainerCallback],
) -> Trainer:
    """Set up a run that checkpoints under `folder` and can go on from there."""
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=hyperparameters.epochs,
        per_device_train_batch_size=min(hyperparameters.batch_size, AT_ONCE),
        gradient_accumulation_steps=-(-hyperparameters.batch_size // AT_ONCE),
        learning_rate=hyperparameters.learning_rate,
        warmup_steps=hyperparameters.warmup,
        weight_decay=hyperparameters.weight_decay,
        lr_scheduler_type="cosine",
        max_grad_norm=1.0,
        use_cpu=True,
        seed=hyperparameters.seed,
        save_steps=CHECKPOINT_STEPS,
        logging_steps=5,
        disable_tqdm=True,
        report_to=[],
        remove_unused_columns=False,
        dataloader_num_workers=0,
        dataloader_pin_memory=False,
    )
    trainer = AnswerTrainer(
        model=model,
        args=arguments,
        train_dataset=list(samples),
        data_collator=collate_rows if isinstance(samples[0], Row) else collate,
        callbacks=[*callbacks, KeepLast()],
        hyperparameters=hyperparameters,
        answer_tokens=sum(map(_answer_tokens, samples)) / len(samples) * min(hyperparameters.batch_size, AT_ONCE),
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _answer_tokens(sample: Encoded | Row) -> int:
    return sum(len(one.answer) for one in (sample.branches if isinstance(sample, Row) else (sample,)))


class KeepLast(TrainerCallback):  # type: ignore[misc]  # transformers ships no types here
    """Keeps one checkpoint. The Trainer's own limit removes whole folders, whoever's files are in them."""

    def on_save(self, args: Any, state: Any, control: Any, **parts: Any) -> None:  # Trainer's
        """Drop the ones before."""
        keep_only(Path(args.output_dir), state.global_step)


class AnswerTrainer(Trainer):  # type: ignore[misc]  # transformers ships no types here
    """Minimises the loss of the answers alone; `answer_tokens` are what a pass has of them on average."""

    def __init__(
        self,
        *,
        hyperparameters: Hyperparameters,
        answer_tokens: float,
        **parts: Any,  # the Trainer's
    ) -> None:
        super().__init__(**parts)
        self._hyperparameters = hyperparameters
        self._answer_tokens = answer_tokens
        self.model_accepts_loss_kwargs = False  # so that a step's passes are averaged

    def compute_loss(
        self,
        model: Any,  # a PeftModel
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,  # unused: the passes of a step weigh the same
    ) -> Any:  # a tensor ()
        """Return the batch's loss."""
        inner = model.get_base_model()
        is_mixed = quicker() is torch.bfloat16
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=is_mixed), disable_input_dtype_casting(model):
            labels = inputs.pop("labels")
            hidden = inner.model(**inputs, use_cache=False).last_hidden_state
            log_probs, rows = answer_log_probs(hidden, labels, inner.lm_head)
        if self._hyperparameters.method == "orpo":
            return orpo_loss(log_probs, rows, self._hyperparameters.strength)
        return sft_loss(log_probs, self._answer_tokens)

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:  # a Sampler
        lengths = [sample.length for sample in self.train_dataset]
        return LikeLengths(lengths, self._hyperparameters.batch_size, self.args.seed)


class LikeLengths(Sampler):  # type: ignore[misc]  # torch is not typed where mypy runs
    """Puts samples of like lengths into batches, and the batches into any order: what is short may be of one kind.

    Each epoch's order follows from its number alone.

    A resumed run asks for the order of the epoch it was stopped in, and must get the same one.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self._lengths = lengths
        self._batch_size = batch_size
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch is next; accelerate does."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self._seed + self._epoch)
        order = get_length_grouped_indices(self._lengths, self._batch_size, generator=generator)
        batches = [order[at : at + self._batch_size] for at in range(0, len(order), self._batch_size)]
        whole = len(order) // self._batch_size  # what is left over stays last, or all behind it would shift
        shuffled = [batches[at] for at in torch.randperm(whole, generator=generator)]
        return chain.from_iterable(shuffled + batches[whole:])
