"""optimum-neuron's model class without a compiler, and a folder for it to compile."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any


class FakeNeuronModel:
    """`NeuronModelForCausalLM`'s three calls, with its rule that a compiled model records what it was compiled for."""

    def __init__(self, config: SimpleNamespace) -> None:
        self.config = config

    @classmethod
    def get_neuron_config(
        cls, model_name_or_path: str, *, instance_type: str, batch_size: int, sequence_length: int, **more: Any
    ) -> SimpleNamespace:
        return SimpleNamespace(
            batch_size=batch_size,
            max_batch_size=batch_size,
            sequence_length=sequence_length,
            max_context_length=sequence_length,
            tp_degree=more["tensor_parallel_size"],
            target={"inf2": "trn1", "trn2": "trn2"}[instance_type],
            continuous_batching=batch_size > 1,
            on_device_sampling=True,
        )

    @classmethod
    def export(cls, model_id: str, *, neuron_config: SimpleNamespace, load_weights: bool) -> FakeNeuronModel:
        assert not load_weights
        return cls(neuron_config)

    def save_pretrained(self, save_directory: str) -> None:
        folder = Path(save_directory)
        folder.mkdir(parents=True)
        (folder / "neuron_config.json").write_text(json.dumps(vars(self.config)))
        (folder / "model.pt").write_bytes(b"graph")


def write_merged(folder: Path) -> Path:
    """Write what `merged` names: a Hugging Face folder."""
    folder.mkdir()
    config = {"model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
    config |= {"num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 100}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "tokenizer.json").write_text("{}")
    (folder / "generation_config.json").write_text('{"eos_token_id": [1, 2]}')
    return folder
