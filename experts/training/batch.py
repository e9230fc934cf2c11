"""Encoded samples to one padded batch.

Padding stands on the right: causal attention never looks at it, so no mask is needed and the fast kernel is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import torch

from experts.training.encode import Encoded

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
