"""Training on Trainium: the run of `experts.finetune --device neuron`, under torchrun, one process a NeuronCore.

The same samples and hyper-parameters as on a CPU go to optimum-neuron's NeuronSFTTrainer (0.4.5; it has no ORPO
trainer). The checkpoint is sharded over the cores; process 0 consolidates it into one adapter. We had no Neuron
hardware: docs/neuron.md says what of this was run and what was only bound to the installed API.
"""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from experts.artifacts.bases import BaseUnavailable
from experts.artifacts.store import ArtifactStore, default_root
from experts.artifacts.transformers_base import unpacked_base
from experts.training.budget import choose
from experts.training.encode import Encoded, Encoder
from experts.training.training_cost import Ledger, Prices

if TYPE_CHECKING:
    from experts.training.run import Run


@dataclass(frozen=True, slots=True)
class Shards:
    """How the model is spread over NeuronCores; from the environment, since torchrun starts every process alike."""

    tensor_parallel: int
    pipeline_parallel: int

    @classmethod
    def from_environment(cls) -> Shards:
        """Read MOEGATE_TENSOR_PARALLEL (default 8, as an 8B model needs on trn1) and MOEGATE_PIPELINE_PARALLEL (1)."""
        return cls(
            int(os.environ.get("MOEGATE_TENSOR_PARALLEL", "8")), int(os.environ.get("MOEGATE_PIPELINE_PARALLEL", "1"))
        )


def train(run: Run, prices: Prices, console: Console) -> Ledger:
    """Train to the end; process 0 leaves the adapter in `run.folder/adapter`.

    Raises:
        BaseUnavailable: the base cannot be had, or the method is not one that Neuron has.
        ImportError: the Neuron SDK or optimum-neuron's training extra is not installed.
        TooSmall: the run's budget has room for no sample.
    """
    if run.hyperparameters.method != "sft":
        raise BaseUnavailable("optimum-neuron 0.4.5 trains with sft only: give --method sft")
    if run.start is not None:
        raise BaseUnavailable("an adapter to start from is for --device cpu")
    from transformers import AutoTokenizer  # noqa: PLC0415
    from transformers.trainer_utils import get_last_checkpoint  # noqa: PLC0415

    began = time.monotonic()
    base = unpacked_base(run.spec.base, ArtifactStore(default_root())).path
    tokenizer = AutoTokenizer.from_pretrained(base)
    samples, _ = choose(run, Encoder(tokenizer, run.spec, run.hyperparameters.longest))
    trainer = _trainer(run, base, tokenizer, samples, Shards.from_environment())
    checkpoint = get_last_checkpoint(str(run.folder))
    loaded = time.monotonic()
    trainer.train(resume_from_checkpoint=checkpoint)
    trained = time.monotonic()
    trainer.save_model(str(run.folder / "sharded"))
    if int(os.environ.get("RANK", "0")) == 0:
        _consolidate(run.folder / "sharded", run.folder / "adapter")
    done = time.monotonic()
    first = int(checkpoint.rpartition("-")[2]) if checkpoint else 0
    share = 1 - first / max(1, trainer.state.max_steps)  # of the steps: earlier sessions' times are not known here
    tokens = round(share * sum(len(s.prompt) + len(s.answer) for s in samples) * run.hyperparameters.epochs)
    return Ledger(run.spec.name, tokens, loaded - began, trained - loaded, done - trained, prices)


def _trainer(run: Run, base: Path, tokenizer: Any, samples: list[Encoded], shards: Shards) -> Any:
    import torch  # noqa: PLC0415
    from datasets import Dataset  # noqa: PLC0415
    from optimum.neuron import NeuronSFTConfig, NeuronSFTTrainer, NeuronTrainingArguments  # noqa: PLC0415
    from optimum.neuron.models.training import NeuronModelForCausalLM  # noqa: PLC0415
    from peft import LoraConfig  # noqa: PLC0415

    hyperparameters = run.hyperparameters
    arguments = NeuronTrainingArguments(
        output_dir=str(run.folder),
        num_train_epochs=hyperparameters.epochs,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=hyperparameters.batch_size,
        learning_rate=hyperparameters.learning_rate,
        warmup_ratio=hyperparameters.warmup,
        lr_scheduler_type="cosine",
        bf16=True,
        seed=hyperparameters.seed,
        tensor_parallel_size=shards.tensor_parallel,
        pipeline_parallel_size=shards.pipeline_parallel,
        zero_1=True,
        save_steps=100,
        save_total_limit=1,
        logging_steps=5,
    )
    model = NeuronModelForCausalLM.from_pretrained(
        str(base), arguments.trn_config, torch_dtype=torch.bfloat16, attn_implementation="flash_attention_2"
    )
    return NeuronSFTTrainer(
        args=NeuronSFTConfig(max_length=hyperparameters.longest, packing=False, **arguments.to_dict()),
        model=model,
        peft_config=LoraConfig(
            r=hyperparameters.rank,
            lora_alpha=hyperparameters.alpha,
            target_modules="all-linear",
            bias="none",
            task_type="CAUSAL_LM",
        ),
        processing_class=tokenizer,
        train_dataset=Dataset.from_list([_row(sample) for sample in samples]),
    )


def _row(sample: Encoded) -> dict[str, list[int]]:
    """Return what the trainer takes as already tokenised, with nothing to learn from in the prompt."""
    ids = [*sample.prompt, *sample.answer]
    return {
        "input_ids": ids,
        "attention_mask": [1] * len(ids),
        "labels": [-100] * len(sample.prompt) + list(sample.answer),
    }


def _consolidate(sharded: Path, adapter: Path) -> None:
    """Join the shards by the SDK's own command; it writes PEFT's format."""
    done = subprocess.run(
        ["optimum-cli", "neuron", "consolidate", str(sharded), str(adapter)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BaseUnavailable("the sharded checkpoint could not be consolidated: see `optimum-cli neuron consolidate`")
