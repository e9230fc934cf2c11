"""Causal attention for training on a CPU: plain matrix products in bfloat16, which oneDNN does near the chip's peak.

PyTorch's flash attention takes about 2.5 times as long there (8 rows of 400 tokens, 9 heads of 64, forward and backward
on two cores with AVX-512 bf16), which is two fifths of a training step of SmolLM2-135M. The probabilities are not kept
for the backward pass but made anew, as in FlashAttention (Dao et al. 2022, arXiv 2205.14135): kept, they would take
gigabytes of long rows. Called by the model, once `register` has told transformers its name.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

import torch
from torch import Tensor
from transformers import AttentionInterface

NAME: Final = "moegate_cpu"
_BLOCK: Final = 128  # queries at once


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
    """Works on (rows x key heads) matrices, a block of queries after the other, each beside the keys up to its end.

    The query heads that share a key head are one tall matrix. What stands after a block is never computed, which is
    nearly half of all scores.
    """

    @staticmethod
    def forward(context: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scale: float) -> Tensor:
        grouped = _by_key_head(query, key.shape[1])
        flat_key, flat_value = key.flatten(0, 1), value.flatten(0, 1)
        context.save_for_backward(grouped, flat_key, flat_value, mask)
        context.shape, context.key_shape, context.scale = query.shape, key.shape, scale
        result = torch.empty_like(grouped)
        for begin, end in _blocks(key.shape[2]):
            weights = _weights(grouped, flat_key, mask, scale, begin, end)
            result[:, :, begin:end] = torch.bmm(weights, flat_value[:, :end]).view(*result.shape[:2], end - begin, -1)
        return result.view(query.shape)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        grouped, key, value, mask = context.saved_tensors
        gradients = gradient.reshape(grouped.shape)
        by_query, by_key, by_value = torch.empty_like(grouped), torch.zeros_like(key), torch.zeros_like(value)
        for begin, end in _blocks(key.shape[1]):
            weights = _weights(grouped, key, mask, context.scale, begin, end)
            block = gradients[:, :, begin:end].flatten(1, 2)
            by_value[:, :end] += torch.bmm(weights.transpose(1, 2), block)
            by_weight = torch.bmm(block, value[:, :end].transpose(1, 2))
            by_score = torch._softmax_backward_data(by_weight, weights, -1, weights.dtype)
            asked = grouped[:, :, begin:end]
            by_query[:, :, begin:end] = torch.bmm(by_score, key[:, :end]).view(asked.shape)
            by_key[:, :end] += torch.bmm(by_score.transpose(1, 2), asked.flatten(1, 2))
        shape, scale = context.key_shape, context.scale
        return (by_query * scale).view(context.shape), (by_key * scale).view(shape), by_value.view(shape), None, None


def _by_key_head(query: Tensor, key_heads: int) -> Tensor:
    """View queries as (rows x key heads, query heads a key head, tokens, width)."""
    return query.reshape(query.shape[0] * key_heads, -1, *query.shape[2:])


def _blocks(tokens: int) -> Iterator[tuple[int, int]]:
    return ((begin, min(begin + _BLOCK, tokens)) for begin in range(0, tokens, _BLOCK))


def _weights(grouped: Tensor, key: Tensor, mask: Tensor, scale: float, begin: int, end: int) -> Tensor:
    """Return a block's probabilities (rows x key heads, query heads a key head x queries, keys up to its end)."""
    tall = grouped[:, :, begin:end].flatten(1, 2)
    scores = torch.bmm(tall * scale, key[:, :end].transpose(1, 2))
    by_row = scores.view(mask.shape[0], -1, end - begin, end)
    by_row += mask[:, :, begin:end, :end]
    return torch.softmax(scores, -1)


@lru_cache(maxsize=8)
def _later(tokens: int, dtype: torch.dtype) -> Tensor:
    """Return what is added to scores, (1, 1, tokens, tokens): minus infinity where a key stands after the query."""
    return torch.full((1, 1, tokens, tokens), -torch.inf, dtype=dtype).triu(1)
