"""What the tests of training share: small data, and a Llama small enough to train in a second."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from tests.experts.training.recipes.data_files import write_data

_NEED_TORCH = [
    *("adapter_file", "attention", "batch", "cpu", "encode", "finetune", "losses", "precision", "progress", "share"),
    *("stopping", "trainer", "warm_start"),
]
_NEEDS = {name: ["torch", "transformers", "peft"] for name in _NEED_TORCH} | {"trainium_job": ["kubernetes_validate"]}
# `make test-train` has torch, every other environment the rest.
collect_ignore = [
    f"test_{name}.py" for name, needed in _NEEDS.items() if not all(importlib.util.find_spec(one) for one in needed)
]


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data files of the recipes, small ones; who changes them takes a copy."""
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama of two layers, saved as transformers saves it."""
    from transformers import LlamaConfig, LlamaForCausalLM, set_seed

    set_seed(0)
    config = LlamaConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
    )
    folder = tmp_path_factory.mktemp("base")
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


class LetterTokenizer:
    """Stands in for a real one: a token a character, with marks that show where turns begin and end."""

    eos_token_id = 2

    def apply_chat_template(self, turns: list[dict[str, str]], **_: Any) -> str:
        """Write turns as `<role>content;` and then the assistant's mark."""
        return "".join(f"<{turn['role']}>{turn['content']};" for turn in turns) + "<assistant>"

    def __call__(self, text: str, add_special_tokens: bool = True) -> Any:
        """Return the characters' codes, with a 1 before them where special tokens are asked for."""
        ids = [1] * add_special_tokens + [3 + ord(character) % 61 for character in text]
        return type("Encoding", (), {"input_ids": ids})()
