"""The network is BERT as its paper has it, batches change nothing, and what cannot be run is refused by name."""

from __future__ import annotations

import subprocess
import sys
from math import erf, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experts.artifacts.store import Artifact
from experts.encoders.bert import UnsupportedEncoder
from experts.encoders.encoder import Role, TextTooLong
from experts.encoders.openvino import OpenVINOEncoder
from tests.experts.encoders.tiny_encoder import EPSILON, HEADS, LAYERS, WIDTH, weights, write_encoder

Array = np.ndarray[Any, Any]
EXACT = 0.02  # bfloat16's, where the processor multiplies it


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> OpenVINOEncoder:
    return OpenVINOEncoder(Artifact(write_encoder(tmp_path_factory.mktemp("m") / "model"), "hash"), threads=1)


def by_hand(ids: list[int]) -> Array:
    """Token states of one text, in float64, written after the paper and not after the code."""
    w = {name: value.astype(np.float64) for name, value in weights().items()}

    def norm(name: str, x: Array) -> Array:
        even = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + EPSILON)
        return even * w[f"{name}.weight"] + w[f"{name}.bias"]

    def dense(name: str, x: Array) -> Array:
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    x = w["embeddings.word_embeddings.weight"][ids] + w["embeddings.position_embeddings.weight"][: len(ids)]
    x = norm("embeddings.LayerNorm", x + w["embeddings.token_type_embeddings.weight"][0])
    for layer in range(LAYERS):
        at = f"encoder.layer.{layer}"
        query, key, value = (dense(f"{at}.attention.self.{part}", x) for part in ("query", "key", "value"))
        heads = []
        for head in range(HEADS):
            part = slice(head * WIDTH // HEADS, (head + 1) * WIDTH // HEADS)
            scores = query[:, part] @ key[:, part].T / sqrt(WIDTH / HEADS)
            shares = np.exp(scores - scores.max(-1, keepdims=True))
            heads.append(shares / shares.sum(-1, keepdims=True) @ value[:, part])
        read = dense(f"{at}.attention.output.dense", np.concatenate(heads, -1))
        x = norm(f"{at}.attention.output.LayerNorm", read + x)
        inner = dense(f"{at}.intermediate.dense", x)
        inner = inner * 0.5 * (1 + np.vectorize(erf)(inner / sqrt(2)))
        x = norm(f"{at}.output.LayerNorm", dense(f"{at}.output.dense", inner) + x)
    return x


def unit(x: Array) -> Array:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def test_the_network_is_bert(encoder: OpenVINOEncoder) -> None:
    encoding = encoder.encode(["red blue red"], Role.QUERY, with_tokens=True)
    states = by_hand([2, 4, 6, 4, 3])
    np.testing.assert_allclose(encoding.tokens[0], unit(states), atol=EXACT)
    np.testing.assert_allclose(encoding.pooled[0], unit(states.mean(0)), atol=EXACT)
    assert encoding.token_counts == (5,)
    assert (encoder.dimensions, encoder.max_tokens, encoder.artifact) == (WIDTH, 12, "hash")


def test_what_shares_a_batch_changes_nothing(encoder: OpenVINOEncoder) -> None:
    texts = ["red", "red green blue green red", "blue green"] * 9  # more than a batch, of several lengths
    together = encoder.encode(texts, Role.PASSAGE, with_tokens=True)
    assert together.token_counts == (3, 7, 4) * 9
    for row, text in enumerate(texts[:3]):
        alone = encoder.encode([text], Role.PASSAGE, with_tokens=True)
        np.testing.assert_allclose(together.pooled[row], alone.pooled[0], atol=EXACT)
        np.testing.assert_allclose(together.tokens[row], alone.tokens[0], atol=EXACT)
    assert np.linalg.norm(together.pooled, axis=1) == pytest.approx(1, abs=1e-5)
    assert encoder.encode(texts[:1], Role.PASSAGE).tokens == ()


def test_a_text_that_is_too_long_is_refused_or_cut(encoder: OpenVINOEncoder) -> None:
    long = "red " * 11
    with pytest.raises(TextTooLong, match="text 1 has 13 tokens; at most 12 are read"):
        encoder.encode(["red", long], Role.PASSAGE)
    cut = encoder.encode([long], Role.PASSAGE, truncate=True, with_tokens=True)
    assert cut.token_counts == (12,)
    np.testing.assert_allclose(cut.tokens[0], unit(by_hand([2, *[4] * 10, 3])), atol=EXACT)


def test_a_model_may_want_words_before_a_text(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "m", prompts={"query": "query: "})
    encoder = OpenVINOEncoder(Artifact(folder, "hash"))
    assert encoder.encode(["red"], Role.QUERY).token_counts != encoder.encode(["red"], Role.PASSAGE).token_counts


def test_the_first_token_may_stand_for_the_text(tmp_path: Path) -> None:
    pooling = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    encoder = OpenVINOEncoder(Artifact(write_encoder(tmp_path / "m", pooling=pooling), "hash"))
    encoding = encoder.encode(["red blue"], Role.QUERY, with_tokens=True)
    np.testing.assert_allclose(encoding.pooled[0], encoding.tokens[0][0], atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"config": {"model_type": "llama"}}, "model_type 'bert'; this one has 'llama'"),
        ({"config": {"hidden_act": "relu"}}, "hidden_act"),
        ({"config": {"num_hidden_layers": 3}}, r"model.safetensors is not a BERT's: 'encoder.layer.2"),
        ({"pooling": {"pooling_mode_max_tokens": True}}, "neither the mean"),
    ],
)
def test_what_is_no_such_model_is_refused(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    folder = write_encoder(tmp_path / "m", **changes)
    with pytest.raises(UnsupportedEncoder, match=words):
        OpenVINOEncoder(Artifact(folder, "hash"))


def test_a_folder_with_broken_files_is_refused(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "m")
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(UnsupportedEncoder, match=r"tokenizer\.json"):
        OpenVINOEncoder(Artifact(folder, "hash"))
    (folder / "config.json").write_text("[]")
    with pytest.raises(UnsupportedEncoder, match=r"config\.json holds no JSON object"):
        OpenVINOEncoder(Artifact(folder, "hash"))


def test_nobody_is_told_that_it_runs(tmp_path: Path) -> None:
    code = f"""
import os, sys
from pathlib import Path
from experts.artifacts.store import Artifact
from experts.encoders.openvino import OpenVINOEncoder
def fork(): os.write(2, b"forked"); raise OSError
os.fork = fork
OpenVINOEncoder(Artifact(Path({str(write_encoder(tmp_path / "m"))!r}), "hash"))
"""
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, check=False, capture_output=True, text=True)
    assert (done.returncode, "forked" in done.stderr) == (0, False), done.stderr
