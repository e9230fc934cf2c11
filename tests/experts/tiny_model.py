"""A base and an adapter small enough to look at, in the formats of real ones: a GGUF file, and a folder."""

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
    write_safetensors(folder / "adapter_model.safetensors", tensors)
    return folder


def write_safetensors(path: Path, tensors: dict[str, np.ndarray[Any, Any]]) -> None:
    """Write tensors as bfloat16."""
    header, body = {}, b""
    for name, tensor in tensors.items():
        raw = (np.ascontiguousarray(tensor, np.float32).view(np.uint32) >> 16).astype(np.uint16).tobytes()
        shape = list(tensor.shape)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [len(body), len(body) + len(raw)]}
        body += raw
    head = json.dumps(header).encode()
    path.write_bytes(len(head).to_bytes(8, "little") + head + body)


def lora(layer: int = 0) -> dict[str, np.ndarray[Any, Any]]:
    """Make halves whose values bfloat16 holds exactly."""
    rng = np.random.default_rng(3)
    made = {}
    for name, (out, into) in _CHANGED.items():
        prefix = f"base_model.model.model.layers.{layer}.{name}"
        made[f"{prefix}.lora_A.weight"] = rng.integers(-2, 3, (RANK, into)).astype(np.float32)
        made[f"{prefix}.lora_B.weight"] = rng.integers(-2, 3, (out, RANK)).astype(np.float32)
    return made


PIECES = ["<|end|>", *"abcdefgh", "Ġ", "ab"]
CONFIG: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": WIDTH,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "vocab_size": len(PIECES) + 2,
    "max_position_embeddings": 128,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": True,
    "rope_theta": 5000.0,
}


def write_folder(folder: Path, **config: object) -> Path:
    """Write the base as transformers does: its shape, weights and tokeniser."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIG | config))
    write_safetensors(folder / "model.safetensors", folder_weights())
    bpe = {"type": "BPE", "vocab": {piece: at for at, piece in enumerate(PIECES)}, "merges": [["a", "b"]]}
    end = {"id": 0, "content": "<|end|>", "special": True}
    tokenizer = {"model": bpe, "added_tokens": [end], "pre_tokenizer": {"type": "ByteLevel", "use_regex": True}}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"eos_token": "<|end|>", "chat_template": "{{ messages }}"})
    )
    return folder


def folder_weights() -> dict[str, np.ndarray[Any, Any]]:
    """Make every tensor of a layer, with values that bfloat16 holds exactly."""
    rng = np.random.default_rng(11)
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (CONFIG["vocab_size"], WIDTH),
        "model.norm.weight": (WIDTH,),
        "model.layers.0.input_layernorm.weight": (WIDTH,),
        "model.layers.0.post_attention_layernorm.weight": (WIDTH,),
        "model.layers.0.self_attn.q_proj.weight": (WIDTH, WIDTH),
        "model.layers.0.self_attn.k_proj.weight": (WIDTH // 2, WIDTH),
        "model.layers.0.self_attn.v_proj.weight": (WIDTH // 2, WIDTH),
        "model.layers.0.self_attn.o_proj.weight": (WIDTH, WIDTH),
        "model.layers.0.mlp.gate_proj.weight": (64, WIDTH),
        "model.layers.0.mlp.up_proj.weight": (64, WIDTH),
        "model.layers.0.mlp.down_proj.weight": (WIDTH, 64),
    }
    return {name: rng.integers(-8, 9, shape).astype(np.float32) for name, shape in shapes.items()}
