"""Encoded samples to one padded batch.

Padding stands on the right: causal attention never looks at it, so no mask is needed for it. Rows that several samples
share need one, so that no branch sees another.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import torch
from torch import Tensor

from experts.training.encode import Encoded
from experts.training.share import Row

IGNORED: Final = -100
"""The label of positions that nothing is learnt from: the prompt and the padding (PyTorch's `ignore_index`)."""


def collate(samples: Sequence[Encoded]) -> dict[str, Any]:
    """Return `input_ids` and `labels`, both int64 (rows, longest); of pairs, all the answers come before the rejected.

    `labels` are the ids of answer tokens at their own places, `IGNORED` elsewhere.
    """
    sequences = [(sample.prompt, sample.answer) for sample in samples]
    sequences += [(sample.prompt, sample.rejected) for sample in samples if sample.rejected]
    longest = max(len(prompt) + len(answer) for prompt, answer in sequences)
    ids = torch.zeros((len(sequences), longest), dtype=torch.int64)
    labels = torch.full((len(sequences), longest), IGNORED, dtype=torch.int64)
    for row, (prompt, answer) in enumerate(sequences):
        end = len(prompt) + len(answer)
        ids[row, :end] = torch.tensor(prompt + answer)
        labels[row, len(prompt) : end] = torch.tensor(answer)
    return {"input_ids": ids, "labels": labels}


def collate_rows(rows: Sequence[Row]) -> dict[str, Any]:
    """Return `input_ids`, `labels` and `position_ids`, int64 (rows, longest), and `attention_mask`.

    The mask is what is added to scores, bfloat16 (rows, 1, longest, longest): minus infinity where one may not look.
    """
    longest = max(row.length for row in rows)
    columns = [list(zip(*_tokens(row), strict=True)) for row in rows]
    ids, labels, positions, branches = (
        torch.tensor([[*column[part], *[filler] * (longest - len(column[part]))] for column in columns])
        for part, filler in enumerate((0, IGNORED, 0, -1))
    )
    return {"input_ids": ids, "labels": labels, "position_ids": positions, "attention_mask": _mask(branches)}


def _tokens(row: Row) -> Iterator[tuple[int, int, int, int]]:
    """Yield each token with its label, its position and its branch, 0 for what is common."""
    for position, token in enumerate(row.common):
        yield token, IGNORED, position, 0
    for number, branch in enumerate(row.branches, start=1):
        labelled = [(token, IGNORED) for token in branch.rest] + [(token, token) for token in branch.answer]
        for position, (token, label) in enumerate(labelled, start=len(row.common)):
            yield token, label, position, number


def _mask(branches: Tensor) -> Tensor:
    """Let each token see what stands before it of the common beginning and of its own branch; padding sees itself."""
    looking, seen = branches[:, :, None], branches[:, None, :]
    places = torch.arange(branches.shape[1])
    may_look = ((seen == 0) | (seen == looking)) & (places[None, :] <= places[:, None])
    mask = torch.zeros(may_look.shape, dtype=torch.bfloat16).masked_fill_(~may_look, -torch.inf)
    return mask[:, None]
