"""Merges a LoRA adapter into its base: GGUF and safetensors in, one GGUF out, with numpy alone.

Called by `experts.compile` for the `cpu` target. Each changed matrix is dequantised, gets scale * B A added, and is
stored as Q8_0. The rest goes through `experts.compilation.requantise` unchanged. llama.cpp orders the rows of the query
and key matrices differently from transformers (its rotary embedding pairs neighbours, not halves), so the change is
reordered first.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from experts.compilation.requantise import Change, requantise
from experts.compilation.safetensors_file import read_tensors

Matrix = npt.NDArray[np.float32]

MATRICES: Final = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
"""A layer's matrices: transformers' names and GGUF's."""
_KEY: Final = re.compile(r"^base_model\.model\.model\.layers\.(\d+)\.([\w.]+)\.lora_([AB])\.weight$")


class AdapterError(ValueError):
    """An adapter cannot be merged; the message says why."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """LoRA matrices by the GGUF name of what they change: `a` (rank, in), `b` (out, rank); both times `scale`."""

    pairs: Mapping[str, tuple[Matrix, Matrix]]
    scale: float

    def delta(self, name: str) -> Matrix:
        """Return what is to be added to a matrix (out, in), rows in transformers' order."""
        a, b = self.pairs[name]
        return self.scale * (b @ a)


def read_adapter(folder: Path) -> Adapter:
    """Read an adapter in PEFT's format.

    Raises:
        AdapterError: a file is missing or damaged, or the adapter is of a kind that cannot be merged here.
    """
    tensors, scale = read_lora(folder)
    return Adapter(_pair(tensors, folder), scale)


def read_lora(folder: Path) -> tuple[dict[str, Matrix], float]:
    """Return an adapter's matrices by PEFT's names, and what their products are multiplied by.

    Raises:
        AdapterError: a file is missing or damaged, or the adapter is no plain LoRA.
    """
    try:
        config = json.loads((folder / "adapter_config.json").read_text())
        tensors = dict(read_tensors(folder / "adapter_model.safetensors"))
    except (OSError, ValueError) as error:
        raise AdapterError(f"adapter {folder}: cannot be read: {error}") from None
    if config.get("peft_type") != "LORA" or config.get("use_dora") or config.get("bias", "none") != "none":
        raise AdapterError(f"adapter {folder}: only plain LoRA without biases can be merged")
    try:
        rank, alpha = int(config["r"]), float(config["lora_alpha"])
        return tensors, alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        raise AdapterError(f"adapter {folder}: its configuration has no rank or no alpha") from None


def merge(base: Path, adapter: Adapter, target: Path) -> None:
    """Write `base` with `adapter` merged into it to `target`.

    Raises:
        ValueError: the base is no GGUF file.
        AdapterError: the adapter is not for this base.
    """
    left = set(adapter.pairs)

    def change(name: str, weights: Matrix, heads: Mapping[str, int]) -> Matrix:
        delta = adapter.delta(name)
        if delta.shape != weights.shape:
            raise AdapterError(f"{name} is {weights.shape} in the base and {delta.shape} in the adapter")
        left.discard(name)
        kind = name.split(".")[2]
        return weights + (interleave(delta, heads[kind]) if kind in heads else delta)

    requantise(base, target, Change(frozenset(adapter.pairs), change))
    if left:
        raise AdapterError(f"the base has no {sorted(left)[0]}, which the adapter changes")


def interleave(rows: Matrix, heads: int) -> Matrix:
    """Put the rows of a query or key matrix into llama.cpp's order: of each head, (half, pair) becomes (pair, half)."""
    out, width = rows.shape
    return rows.reshape(heads, 2, out // heads // 2, width).swapaxes(1, 2).reshape(out, width)


def _pair(tensors: Mapping[str, Matrix], folder: Path) -> dict[str, tuple[Matrix, Matrix]]:
    found: dict[str, dict[str, Matrix]] = {}
    for key, tensor in tensors.items():
        match = _KEY.match(key)
        if match is None or match[2] not in MATRICES:
            raise AdapterError(f"adapter {folder}: {key} is not a part of a Llama that can be merged")
        found.setdefault(f"blk.{match[1]}.{MATRICES[match[2]]}.weight", {})[match[3]] = tensor
    if not all(set(pair) == {"A", "B"} for pair in found.values()):
        raise AdapterError(f"adapter {folder}: a matrix has only one of its halves")
    return {name: (pair["A"], pair["B"]) for name, pair in found.items()}
