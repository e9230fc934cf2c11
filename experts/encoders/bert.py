"""BERT as an OpenVINO model, built from safetensors weights: no torch, no exporter.

The network is that of Devlin et al., "BERT" (https://arxiv.org/abs/1810.04805), as its sentence encoders use it: token
states out of the last layer, their mean or the first of them as the text's vector, all of length 1. Names of weights
are those of Hugging Face's `BertModel`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from experts.compilation.safetensors_file import Tensor, read_tensors

if TYPE_CHECKING:
    import openvino as ov


class UnsupportedEncoder(Exception):
    """The model is not one that can be run; the message says why."""


@dataclass(frozen=True, slots=True)
class BertShape:
    """What of a model's configuration the network is built by.

    Attributes:
        layers: how many.
        heads: of each layer's attention.
        epsilon: of the layer norms.
        positions: the longest text, tokens.
        is_mean: whether a text's vector is the mean of its tokens' states; else it is the first token's.
    """

    layers: int
    heads: int
    epsilon: float
    positions: int
    is_mean: bool

    @classmethod
    def read(cls, folder: Path) -> BertShape:
        """Read it out of a model's folder.

        Raises:
            UnsupportedEncoder: the model is no BERT, or of a kind that is not built here.
        """
        config = read_json(folder / "config.json")
        pooling = read_json(folder / "1_Pooling" / "config.json", default={"pooling_mode_mean_tokens": True})
        wanted = {"model_type": "bert", "hidden_act": "gelu", "position_embedding_type": "absolute"}
        for field, value in wanted.items():
            if config.get(field, value) != value or "model_type" not in config:
                raise UnsupportedEncoder(f"encoders have {field} {value!r}; this one has {config.get(field)!r}")
        is_mean, is_first = (bool(pooling.get(f"pooling_mode_{kind}")) for kind in ("mean_tokens", "cls_token"))
        if is_mean == is_first:
            raise UnsupportedEncoder("the text's vector is neither the mean of its tokens nor the first of them")
        return cls(
            layers=config["num_hidden_layers"],
            heads=config["num_attention_heads"],
            epsilon=config["layer_norm_eps"],
            positions=config["max_position_embeddings"],
            is_mean=is_mean,
        )


def read_json(path: Path, default: dict[str, Any] | None = None) -> dict[str, Any]:
    """Read a JSON object; `default` where there is no such file.

    Raises:
        UnsupportedEncoder: it is missing without a default, or holds no object.
    """
    if default is not None and not path.is_file():
        return default
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UnsupportedEncoder(f"{path.name} cannot be read: {type(error).__name__}") from error
    if not isinstance(content, dict):
        raise UnsupportedEncoder(f"{path.name} holds no JSON object")
    return content


def build_bert(folder: Path, shape: BertShape) -> ov.Model:
    """Build the network: inputs `ids` and `mask` (texts, tokens), outputs `tokens` and `pooled`.

    Raises:
        UnsupportedEncoder: the weights are not those of a BERT.
    """
    try:
        kept = read_tensors(folder / "model.safetensors", skip=_is_unused)
        weights = {name.removeprefix("bert."): tensor for name, tensor in kept}
        return _Network(weights, shape).model()
    except (OSError, ValueError, KeyError) as error:
        raise UnsupportedEncoder(f"model.safetensors is not a BERT's: {error}") from error


def _is_unused(name: str) -> bool:
    return name.endswith("position_ids") or "pooler." in name or name.startswith("cls.")


class _Network:
    """Builds the graph, layer by layer."""

    def __init__(self, weights: Mapping[str, Tensor], shape: BertShape) -> None:
        from openvino import opset13  # noqa: PLC0415  # imported only where an encoder runs

        self._ops: Any = opset13
        self._weights = weights
        self._shape = shape

    def model(self) -> ov.Model:
        import openvino as ov  # noqa: PLC0415

        ops = self._ops
        ids = ops.parameter([-1, -1], np.int64, name="ids")
        mask = ops.parameter([-1, -1], np.float32, name="mask")
        hidden = self._embedded(ids)
        bias = ops.multiply(ops.subtract(ops.unsqueeze(mask, [1, 2]), np.float32(1)), np.float32(1e9))
        for layer in range(self._shape.layers):
            hidden = self._layer(f"encoder.layer.{layer}", hidden, bias)
        tokens = ops.result(self._normalised(hidden), name="tokens")
        pooled = ops.result(self._normalised(self._pooled(hidden, mask)), name="pooled")
        return ov.Model([tokens, pooled], [ids, mask], "encoder")

    def _embedded(self, ids: Any) -> Any:  # noqa: ANN401  # OpenVINO ships no types
        ops = self._ops
        words = ops.gather(self._weights["embeddings.word_embeddings.weight"], ids, np.int64(0))
        length = ops.gather(ops.shape_of(ids), np.int64(1), np.int64(0))
        places = ops.range(np.int64(0), length, np.int64(1), "i64")
        at = ops.gather(self._weights["embeddings.position_embeddings.weight"], places, np.int64(0))
        kind = self._weights["embeddings.token_type_embeddings.weight"][0]
        return self._norm("embeddings.LayerNorm", ops.add(ops.add(words, at), kind))

    def _layer(self, name: str, hidden: Any, bias: Any) -> Any:  # noqa: ANN401
        ops = self._ops
        query, key, value = (
            self._split(self._dense(f"{name}.attention.self.{part}", hidden)) for part in ("query", "key", "value")
        )
        read = ops.scaled_dot_product_attention(query, key, value, bias, causal=False)
        flat = ops.reshape(ops.transpose(read, [0, 2, 1, 3]), [0, 0, -1], special_zero=True)
        attended = ops.add(self._dense(f"{name}.attention.output.dense", flat), hidden)
        attended = self._norm(f"{name}.attention.output.LayerNorm", attended)
        inner = ops.gelu(self._dense(f"{name}.intermediate.dense", attended), "erf")
        return self._norm(f"{name}.output.LayerNorm", ops.add(self._dense(f"{name}.output.dense", inner), attended))

    def _split(self, states: Any) -> Any:  # noqa: ANN401
        """(texts, tokens, width) to (texts, heads, tokens, width of a head)."""
        ops, heads = self._ops, self._shape.heads
        width = self._weights["embeddings.LayerNorm.weight"].shape[0] // heads
        return ops.transpose(ops.reshape(states, [0, 0, heads, width], special_zero=True), [0, 2, 1, 3])

    def _dense(self, name: str, states: Any) -> Any:  # noqa: ANN401
        product = self._ops.matmul(states, self._weights[f"{name}.weight"], False, True)
        return self._ops.add(product, self._weights[f"{name}.bias"])

    def _norm(self, name: str, states: Any) -> Any:  # noqa: ANN401
        ops = self._ops
        even = ops.mvn(states, np.array([-1], np.int64), True, self._shape.epsilon, "inside_sqrt")
        return ops.add(ops.multiply(even, self._weights[f"{name}.weight"]), self._weights[f"{name}.bias"])

    def _pooled(self, hidden: Any, mask: Any) -> Any:  # noqa: ANN401
        ops = self._ops
        if not self._shape.is_mean:
            return ops.gather(hidden, np.int64(0), np.int64(1))
        weighted = ops.multiply(hidden, ops.unsqueeze(mask, [2]))
        return ops.reduce_sum(weighted, np.array([1], np.int64), False)  # the length becomes 1: no need to divide

    def _normalised(self, states: Any) -> Any:  # noqa: ANN401
        return self._ops.normalize_l2(states, np.array([-1], np.int64), 1e-12, "max")
