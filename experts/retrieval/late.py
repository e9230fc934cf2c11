"""Late interaction: how near the tokens of a question are to those of a passage.

Each token of a question takes the cosine of the nearest token of the passage, and the passage's nearness is their mean
(MaxSim of ColBERT: Khattab and Zaharia 2020, https://arxiv.org/abs/2004.12832). The token vectors are the encoder's
own, without any training, in fewer dimensions and a byte each: their principal axes hold what tells tokens apart, so
128 bytes a token are worth 384 floats (docs/results.md). The axes are found once, from a sample of a
collection's first passages, and stay with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from experts.encoders.encoder import Vectors

Tokens = npt.NDArray[np.int8]
"""Token vectors of one passage, (tokens, dimensions); each row is scaled so that its largest number is 127."""

DIMENSIONS: Final = 128
"""Of a token's vector; fewer where an encoder has fewer."""
_LARGEST: Final = 127
_NEARLY_ZERO: Final = np.float32(1e-12)


def principal_axes(tokens: Sequence[Vectors], dimensions: int) -> Vectors:
    """Find the axes along which token vectors differ most.

    Args:
        tokens: of some texts, each (tokens, width); at least one token.
        dimensions: how many axes, at most the width.

    Returns:
        The axes, (width, dimensions), of length 1 and at right angles.
    """
    together = np.concatenate(tokens).astype(np.float32, copy=False)
    _, axes = np.linalg.eigh(together.T @ together)
    kept = axes[:, ::-1][:, :dimensions].astype(np.float16)  # as stores keep them
    found: Vectors = np.ascontiguousarray(kept, np.float32)
    return found


def packed(tokens: Vectors, axes: Vectors) -> Tokens:
    """Bring a passage's token vectors, (tokens, width), to the axes, a byte a number."""
    brought = tokens @ axes
    largest = np.maximum(np.abs(brought).max(axis=1, keepdims=True), _NEARLY_ZERO)
    bytes_of: Tokens = np.rint(brought * (_LARGEST / largest)).astype(np.int8)
    return bytes_of


def nearness(question: Vectors, passages: Sequence[Tokens]) -> npt.NDArray[np.float64]:
    """Return each passage's nearness, -1 to 1.

    Args:
        question: its token vectors brought to the axes, (tokens, dimensions), of any length.
        passages: at least one; each has at least one token.
    """
    rows = np.concatenate(passages).astype(np.float32)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), _NEARLY_ZERO)
    asked = question / np.maximum(np.linalg.norm(question, axis=1, keepdims=True), _NEARLY_ZERO)
    starts = np.cumsum([0, *(len(passage) for passage in passages[:-1])])
    nearest = np.maximum.reduceat(rows @ asked.T, starts, axis=0)  # (passages, tokens of the question)
    means: npt.NDArray[np.float64] = nearest.mean(axis=1, dtype=np.float64)
    return means
