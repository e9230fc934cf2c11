"""A base and an adapter small enough to look at, in the formats of real ones."""

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np

HEADS, KV_HEADS, WIDTH, RANK = 4, 2, 32, 2
_RNG = np.random.default_rng(7)
WEIGHTS = {
    "blk.0.attn_q.weight": _RNG.normal(size=(WIDTH, WIDTH)).astype(np.float32),
    "blk.0.attn_k.weight": _RNG.normal(size=(WIDTH // 2, WIDTH)).astype(np.float32),
    "blk.0.ffn_down.weight": _RNG.normal(size=(WIDTH, 64)).astype(np.float32),
    "blk.0.ffn_up.weight": _RNG.normal(size=(64, WIDTH)).astype(np.float32),
}
_CHANGED = {"self_attn.q_proj": (WIDTH, WIDTH), "self_attn.k_proj": (WIDTH // 2, WIDTH), "mlp.down_proj": (WIDTH, 64)}


def write_base(path: Path) -> Path:
    """Write the base as a GGUF file."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    for name, weights in WEIGHTS.items():
        writer.add_tensor(name, weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def write_adapter(folder: Path, tensors: dict[str, np.ndarray[Any, Any]], **config: object) -> Path:
    """Write PEFT's files, the weights as bfloat16 by dropping the lower half of each float32."""
    folder.mkdir(exist_ok=True)
    settings = {"peft_type": "LORA", "r": RANK, "lora_alpha": 8, "bias": "none", **config}
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    header, body = {}, b""
    for name, tensor in tensors.items():
        raw = (np.ascontiguousarray(tensor, np.float32).view(np.uint32) >> 16).astype(np.uint16).tobytes()
        shape = list(tensor.shape)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [len(body), len(body) + len(raw)]}
        body += raw
    head = json.dumps(header).encode()
    (folder / "adapter_model.safetensors").write_bytes(len(head).to_bytes(8, "little") + head + body)
    return folder


def lora(layer: int = 0) -> dict[str, np.ndarray[Any, Any]]:
    """Make halves whose values bfloat16 holds exactly."""
    rng = np.random.default_rng(3)
    made = {}
    for name, (out, into) in _CHANGED.items():
        prefix = f"base_model.model.model.layers.{layer}.{name}"
        made[f"{prefix}.lora_A.weight"] = rng.integers(-2, 3, (RANK, into)).astype(np.float32)
        made[f"{prefix}.lora_B.weight"] = rng.integers(-2, 3, (out, RANK)).astype(np.float32)
    return made
