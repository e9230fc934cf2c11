"""Causal attention for training on a CPU: plain matrix products in bfloat16, which oneDNN does near the chip's peak.

PyTorch's flash attention takes about 2.5 times as long there (8 rows of 400 tokens, 9 heads of 64, forward and backward
on two cores with AVX-512 bf16), which is two fifths of a training step of SmolLM2-135M. The probabilities are not kept
for the backward pass but made anew, as in FlashAttention (Dao et al. 2022, arXiv 2205.14135): kept, they would take
gigabytes of long rows. Called by the model, once `register` has told transformers its name.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, Final

import torch
from torch import Tensor
from transformers import AttentionInterface

NAME: Final = "moegate_cpu"


def register() -> str:
    """Make transformers know this attention; return the name to ask for."""
    AttentionInterface.register(NAME, attend)
    return NAME


def attend(
    module: Any,  # unused: the layer
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,  # added to the scores, (rows, 1, tokens, tokens); None: everything before is seen
    scaling: float | None = None,
    **options: Any,  # transformers'
) -> tuple[Tensor, None]:
    """Attend, causally where there is no mask.

    Queries are (rows, heads, tokens, width); keys and values may have fewer heads. Returns the result as transformers
    wants it, (rows, tokens, heads, width), and no weights.
    """
    scale = scaling if scaling is not None else 1 / math.sqrt(query.shape[-1])
    mask = attention_mask if attention_mask is not None else _later(query.shape[2], query.dtype)
    return _Attention.apply(query, key, value, mask, scale).transpose(1, 2), None


class _Attention(torch.autograd.Function):  # type: ignore[misc]  # torch is not typed where mypy runs
    """Works on (rows x key heads) matrices: the query heads that share a key head are one tall matrix."""

    @staticmethod
    def forward(context: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scale: float) -> Tensor:
        tall = query.reshape(query.shape[0] * key.shape[1], -1, query.shape[-1])
        flat_key, flat_value = key.flatten(0, 1), value.flatten(0, 1)
        context.save_for_backward(tall, flat_key, flat_value, mask)
        context.shape, context.key_shape, context.scale = query.shape, key.shape, scale
        return torch.bmm(_weights(tall, flat_key, mask, scale), flat_value).view(query.shape)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        tall, key, value, mask = context.saved_tensors
        weights = _weights(tall, key, mask, context.scale)
        gradient = gradient.reshape(tall.shape)
        by_value = torch.bmm(weights.transpose(1, 2), gradient)
        by_weight = torch.bmm(gradient, value.transpose(1, 2))
        by_score = torch._softmax_backward_data(by_weight, weights, -1, weights.dtype)
        by_query = torch.bmm(by_score, key) * context.scale
        by_key = torch.bmm(by_score.transpose(1, 2), tall) * context.scale
        shape = context.key_shape
        return by_query.view(context.shape), by_key.view(shape), by_value.view(shape), None, None


def _weights(tall: Tensor, key: Tensor, mask: Tensor, scale: float) -> Tensor:
    """Return the probabilities (rows x key heads, query heads a key head x tokens, tokens)."""
    tokens, rows = key.shape[1], mask.shape[0]
    scores = torch.bmm(tall * scale, key.transpose(1, 2))
    by_row = scores.view(rows, -1, tokens, tokens)
    by_row += mask
    return torch.softmax(scores, -1)


@lru_cache(maxsize=8)
def _later(tokens: int, dtype: torch.dtype) -> Tensor:
    """Return what is added to scores, (1, 1, tokens, tokens): minus infinity where a key stands after the query."""
    return torch.full((1, 1, tokens, tokens), -torch.inf, dtype=dtype).triu(1)
