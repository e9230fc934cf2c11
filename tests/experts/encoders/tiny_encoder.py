"""A BERT small enough to compute by hand, in the files of a real sentence encoder."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

WIDTH, HEADS, LAYERS, POSITIONS, EPSILON = 16, 4, 2, 12, 1e-6
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "red", "green", "blue", "query:"]


def weights() -> dict[str, np.ndarray[Any, Any]]:
    """Make the weights, by Hugging Face's names."""
    rng = np.random.default_rng(5)
    sizes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings": (len(WORDS), WIDTH),
        "embeddings.position_embeddings": (POSITIONS, WIDTH),
        "embeddings.token_type_embeddings": (2, WIDTH),
    }
    norms = ["embeddings.LayerNorm"]
    for layer in range(LAYERS):
        at = f"encoder.layer.{layer}"
        parts = ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense")
        sizes |= {f"{at}.{part}": (WIDTH, WIDTH) for part in parts}
        sizes |= {f"{at}.intermediate.dense": (2 * WIDTH, WIDTH), f"{at}.output.dense": (WIDTH, 2 * WIDTH)}
        norms += [f"{at}.attention.output.LayerNorm", f"{at}.output.LayerNorm"]
    made = {f"{name}.weight": rng.normal(size=size).astype(np.float32) for name, size in sizes.items()}
    biased = {name: size[0] for name, size in sizes.items() if "embeddings" not in name} | dict.fromkeys(norms, WIDTH)
    made |= {f"{name}.bias": rng.normal(size=size).astype(np.float32) for name, size in biased.items()}
    return made | {f"{name}.weight": rng.normal(1, 0.1, WIDTH).astype(np.float32) for name in norms}


def write_encoder(folder: Path, **changes: Any) -> Path:
    """Write the model; `changes` to its files, by their stem, override."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "model_type": "bert", "hidden_act": "gelu", "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
        "layer_norm_eps": EPSILON, "max_position_embeddings": POSITIONS, "hidden_size": WIDTH,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config | changes.get("config", {})))
    if "pooling" in changes:
        (folder / "1_Pooling").mkdir(exist_ok=True)
        (folder / "1_Pooling" / "config.json").write_text(json.dumps(changes["pooling"]))
    if "prompts" in changes:
        (folder / "config_sentence_transformers.json").write_text(json.dumps({"prompts": changes["prompts"]}))
    tokenizer = Tokenizer(WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    tokenizer.enable_truncation(5)  # as the real one's file does: it is not to be heeded
    tokenizer.save(str(folder / "tokenizer.json"))
    _write(folder / "model.safetensors", weights())
    return folder


def _write(path: Path, tensors: dict[str, np.ndarray[Any, Any]]) -> None:
    header: dict[str, Any] = {
        "embeddings.position_ids": {"dtype": "I64", "shape": [1, 1], "data_offsets": [0, 8]},
    }
    body = bytes(8)
    for name, tensor in tensors.items():
        raw = tensor.tobytes()
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [len(body), len(body) + len(raw)]}
        body += raw
    head = json.dumps(header).encode()
    path.write_bytes(len(head).to_bytes(8, "little") + head + body)
