"""A folder of safetensors as GGUF: every tensor, its shape, its tokeniser; and what is refused by name."""

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from experts.compilation.gguf_from_folder import CannotConvert, is_model_folder, write_gguf
from experts.compilation.gguf_tokenizer import OtherTokenizer, pre_tokenizer
from experts.compilation.merge import interleave
from tests.experts.tiny_model import CONFIG, HEADS, KV_HEADS, PIECES, folder_weights, write_folder


@pytest.fixture
def made(tmp_path: Path) -> Any:
    write_gguf(write_folder(tmp_path / "base"), tmp_path / "base.gguf")
    return gguf.GGUFReader(tmp_path / "base.gguf")


def test_every_tensor_is_there_in_llama_cpps_order(made: Any) -> None:
    tensors = {t.name: gguf.dequantize(t.data, t.tensor_type) for t in made.tensors}
    weights = folder_weights()
    for name, part, heads in (("attn_q", "q_proj", HEADS), ("attn_k", "k_proj", KV_HEADS)):
        wanted = interleave(weights[f"model.layers.0.self_attn.{part}.weight"], heads)
        assert np.abs(tensors[f"blk.0.{name}.weight"] - wanted).max() <= 8 / 127
    assert np.array_equal(tensors["output_norm.weight"], weights["model.norm.weight"])
    assert np.abs(tensors["token_embd.weight"] - weights["model.embed_tokens.weight"]).max() <= 8 / 127
    assert len(tensors) == len(weights)
    assert {t.tensor_type.name for t in made.tensors} == {"F32", "Q8_0"}


def test_shape_and_tokeniser_are_metadata(made: Any) -> None:
    said = {name: field.contents() for name, field in made.fields.items()}
    assert said["llama.block_count"] == 1
    assert (said["llama.attention.head_count"], said["llama.attention.head_count_kv"]) == (HEADS, KV_HEADS)
    assert said["llama.rope.freq_base"] == 5000.0
    assert said["tokenizer.ggml.tokens"][: len(PIECES)] == PIECES
    assert said["tokenizer.ggml.token_type"] == [3, *[1] * (len(PIECES) - 1), 5, 5]
    assert said["tokenizer.ggml.merges"] == ["a b"]
    assert (said["tokenizer.ggml.pre"], said["tokenizer.ggml.eos_token_id"]) == ("smollm", 0)
    assert said["tokenizer.chat_template"] == "{{ messages }}"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "qwen2"}, "model_type is 'qwen2'"),
        ({"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, "scaled \\('llama3'\\)"),
        ({"rope_parameters": {"rope_type": "yarn"}}, "scaled \\('yarn'\\)"),
        ({"attention_bias": True}, "attention_bias"),
        ({"hidden_size": 33}, "hidden_size is no multiple of 32"),
        ({"num_hidden_layers": None}, "no num_hidden_layers"),
    ],
)
def test_what_openvino_would_compute_otherwise_is_refused(
    tmp_path: Path, config: dict[str, object], message: str
) -> None:
    with pytest.raises(CannotConvert, match=message):
        write_gguf(write_folder(tmp_path / "base", **config), tmp_path / "base.gguf")


def test_other_tokenisers_are_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "base")
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    for change, message in (
        ({"model": tokenizer["model"] | {"type": "Unigram"}}, "no byte-level BPE"),
        ({"model": tokenizer["model"] | {"vocab": {"<|end|>": 0, "12": 1}}}, "splits text in a way"),
        ({"added_tokens": [{"id": 99, "content": "<|end|>", "special": True}]}, "more pieces"),
    ):
        (folder / "tokenizer.json").write_text(json.dumps(tokenizer | change))
        with pytest.raises(OtherTokenizer, match=message):
            write_gguf(folder, tmp_path / "base.gguf")
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    for config, message in (({"chat_template": "x"}, "eos_token"), ({"eos_token": "<|end|>"}, "no chat template")):
        (folder / "tokenizer_config.json").write_text(json.dumps(config))
        with pytest.raises(OtherTokenizer, match=message):
            write_gguf(folder, tmp_path / "base.gguf")


def test_llama_3_splits_as_it_does() -> None:
    split = {"type": "Split", "pattern": {"Regex": r"(?i:'s|'t)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"}}
    pre = {"type": "Sequence", "pretokenizers": [split, {"type": "ByteLevel"}]}
    assert pre_tokenizer({"model": {"type": "BPE", "vocab": {"123": 0}}, "pre_tokenizer": pre}) == "llama-bpe"


def test_a_tensor_of_another_model_is_named(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "base")
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content.replace(b"mlp.gate_proj", b"mlp.other_one"))
    with pytest.raises(CannotConvert, match=r"mlp\.other_one\.weight is no part"):
        write_gguf(folder, tmp_path / "base.gguf")


def test_a_folder_of_something_else_is_none(tmp_path: Path) -> None:
    assert is_model_folder(write_folder(tmp_path / "base"))
    assert not is_model_folder(tmp_path)
    assert CONFIG["model_type"] == "llama"
