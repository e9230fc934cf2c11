"""Writes a Llama's folder (config.json, safetensors, tokenizer.json) as a GGUF file, with numpy alone.

`experts.compile` calls it for a base that is such a folder: OpenVINO GenAI reads GGUF, and adapters are merged into it.
Matrices become Q8_0, norms stay float32. What OpenVINO's reader would compute differently is refused by name before
anything is written. Names and metadata: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from experts.compilation.gguf_tokenizer import add_tokenizer
from experts.compilation.merge import MATRICES, interleave
from experts.compilation.safetensors_file import Tensor, read_shapes, read_tensors

_FILE_TYPE_Q8_0: Final = 7
_BLOCK: Final = 32  # values that share a scale in Q8_0: rows are multiples of it
_TOP: Final = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
_OF_LAYER: Final = {**MATRICES, "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}
_COUNTS: Final = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "vocab_size",
    "max_position_embeddings",
)


class CannotConvert(ValueError):
    """A folder cannot be served on CPU; the message says why and what would help."""


def is_model_folder(path: Path) -> bool:
    """Say whether a folder holds a model in Hugging Face's form."""
    return (path / "config.json").is_file() and any(path.glob("*.safetensors"))


def write_gguf(folder: Path, target: Path) -> None:
    """Write the folder's model to `target`.

    Raises:
        CannotConvert: it is no Llama that OpenVINO computes as transformers does.
        ValueError: a file is damaged.
        OSError: a file is missing.
    """
    import gguf  # noqa: PLC0415  # the [cpu] extra's

    config = read_config(folder)
    names = _names(folder, config)
    writer = gguf.GGUFWriter(target, "llama")
    _add_shape(writer, config)
    writer.add_file_type(_FILE_TYPE_Q8_0)
    add_tokenizer(writer, folder, config["vocab_size"])
    kind = gguf.GGMLQuantizationType.Q8_0
    for shape, name in names.values():
        if len(shape) == 1:
            writer.add_tensor_info(name, shape, np.dtype(np.float32), 4 * shape[0])
        else:
            width = gguf.quant_shape_to_byte_shape(shape, kind)
            writer.add_tensor_info(name, width, np.dtype(np.uint8), math.prod(width), kind)
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for tensor in _tensors(folder, config, names):  # one at a time: a model of 8 billion fits no memory as float32
            writer.write_tensor_data(tensor if tensor.ndim == 1 else gguf.quantize(tensor, kind))
    finally:
        writer.close()


def read_config(folder: Path) -> dict[str, Any]:
    """Read config.json and check that the CPU engine computes such a model rightly.

    Raises:
        CannotConvert: it does not, or the file cannot be read.
    """
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text("utf-8"))
        kind = config.get("model_type")
        if kind != "llama":
            raise CannotConvert(f"{folder.name}: model_type is {kind!r}; the CPU engine takes llama")
        _check(folder, config)
    except (OSError, ValueError, AttributeError) as error:
        if isinstance(error, CannotConvert):
            raise
        raise CannotConvert(f"{folder.name}: config.json cannot be read: {type(error).__name__}") from None
    return config


def _check(folder: Path, config: Mapping[str, Any]) -> None:
    missing = [name for name in _COUNTS if not isinstance(config.get(name), int)]
    if missing:
        raise CannotConvert(f"{folder.name}: config.json has no {missing[0]}")
    rope = _rope(config)
    scaling = rope.get("rope_type", rope.get("type", "default"))
    if scaling != "default":
        raise CannotConvert(
            f"{folder.name}: its rotary embedding is scaled ({scaling!r}), which OpenVINO's GGUF reader does not "
            "compute; export the model, its adapter merged, by `optimum-cli export openvino` and name that folder as "
            "`base`, or serve it by another engine"
        )
    for name in ("attention_bias", "mlp_bias"):
        if config.get(name):
            raise CannotConvert(f"{folder.name}: {name} is set; the CPU engine takes a Llama without biases")
    odd = [name for name in ("hidden_size", "intermediate_size") if config[name] % _BLOCK]
    if odd:
        raise CannotConvert(f"{folder.name}: {odd[0]} is no multiple of {_BLOCK}, as Q8_0 needs")


def _rope(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what is said of the rotary embedding: `rope_parameters` since transformers 5, `rope_scaling` before."""
    return config.get("rope_parameters") or config.get("rope_scaling") or {}


def _add_shape(writer: Any, config: Mapping[str, Any]) -> None:  # noqa: ANN401  # gguf ships no types
    heads = config["num_attention_heads"]
    head_size = config.get("head_dim") or config["hidden_size"] // heads
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config.get("num_key_value_heads") or heads)
    writer.add_key_length(head_size)
    writer.add_value_length(head_size)
    writer.add_rope_dimension_count(head_size)
    writer.add_rope_freq_base(float(_rope(config).get("rope_theta") or config.get("rope_theta") or 10_000.0))
    writer.add_layer_norm_rms_eps(float(config.get("rms_norm_eps", 1e-6)))
    writer.add_vocab_size(config["vocab_size"])


def _names(folder: Path, config: Mapping[str, Any]) -> dict[str, tuple[tuple[int, ...], str]]:
    """Return the shape and GGUF's name of every tensor that is kept, by its name in the folder, in the files' order.

    Raises:
        CannotConvert: a tensor is none of a Llama's.
    """
    is_tied = bool(config.get("tie_word_embeddings"))
    found = {}
    for file in _files(folder):
        for name, shape in read_shapes(file).items():
            if name.endswith("rotary_emb.inv_freq") or (is_tied and name == "lm_head.weight"):
                continue
            renamed = _gguf_name(name)
            if renamed is None:
                raise CannotConvert(f"{folder.name}: {name} is no part of a Llama")
            found[name] = (shape, renamed)
    return found


def _tensors(
    folder: Path, config: Mapping[str, Any], names: Mapping[str, tuple[tuple[int, ...], str]]
) -> Iterator[Tensor]:
    """Yield the kept tensors in the files' order, query and key rows in llama.cpp's."""
    heads = config["num_attention_heads"]
    rotated = {"attn_q": heads, "attn_k": config.get("num_key_value_heads") or heads}
    for file in _files(folder):
        for name, tensor in read_tensors(file):
            if name in names:
                part = names[name][1].split(".")[-2]
                yield np.ascontiguousarray(interleave(tensor, rotated[part]) if part in rotated else tensor)


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"))


def _gguf_name(name: str) -> str | None:
    if name in _TOP:
        return _TOP[name]
    match name.split("."):
        case ["model", "layers", layer, *part, "weight"] if ".".join(part) in _OF_LAYER:
            return f"blk.{layer}.{_OF_LAYER['.'.join(part)]}.weight"
        case _:
            return None
