"""Encodes the passages of one run of indexing, a slice at a time; what is made waits in the spool for the commit."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from experts.encoders.encoder import Encode, Role, Vectors
from experts.retrieval.late import Tokens, packed, principal_axes
from experts.retrieval.spool import Spool
from experts.retrieval.store import Passage, Vector

_SLICE: Final = 64  # passages that are encoded and kept together
_SAMPLE: Final = 256  # passages whose tokens tell the axes of a new collection


@dataclass(frozen=True, slots=True)
class Encoded:
    """What became of passages.

    Attributes:
        pooled: their vectors, (passages, dimensions).
        tokens: the token vectors of each; empty where none are wanted.
        axes: that the token vectors were brought to.
        reused: passages whose vectors an earlier run had made.
    """

    pooled: Vector
    tokens: tuple[Tokens, ...]
    axes: Vectors | None
    reused: int


class PassageEncoder:
    """Encodes for one collection."""

    def __init__(
        self,
        encoder: Encode,
        spool: Spool,
        *,
        late: int = 0,
        axes: Vectors | None = None,
        progress: Callable[[int, int], None] = lambda done, whole: None,
    ) -> None:
        """Take the parts.

        Args:
            encoder: makes the vectors.
            spool: keeps them until they are committed.
            late: dimensions of token vectors; 0: none are wanted.
            axes: those of the collection, where it is there already.
            progress: is told how many passages are encoded, out of how many.
        """
        self._encoder = encoder
        self._spool = spool
        self._late = late
        self._axes = axes
        self._progress = progress

    def encode(self, passages: Sequence[Passage]) -> Encoded:
        """Encode them, in their order."""
        axes = self._found_axes(passages) if self._late else None
        pooled: list[Vector] = [np.empty((0, self._encoder.dimensions), np.float32)]
        tokens: list[Tokens] = []
        reused = 0
        for start in range(0, len(passages), _SLICE):
            texts = [passage.words for passage in passages[start : start + _SLICE]]
            found = self._kept(texts, axes)
            reused += len(texts) if found is not None else 0
            vectors, packs = found or self._made(texts, axes)
            pooled.append(vectors)
            tokens += packs
            self._progress(min(start + _SLICE, len(passages)), len(passages))
        return Encoded(np.concatenate(pooled), tuple(tokens), axes, reused)

    def _found_axes(self, passages: Sequence[Passage]) -> Vectors:
        """Return the collection's axes; of a new one, those of passages from all over it."""
        if self._axes is not None:
            return self._axes
        texts = [passage.words for passage in passages[:: max(1, len(passages) // _SAMPLE)][:_SAMPLE]]
        if not texts:
            return np.eye(self._encoder.dimensions, self._late, dtype=np.float32)
        kept = self._spool.get(texts, f"axes-{self._late}")
        if kept is not None:
            return kept.astype(np.float32)
        tokens = self._encoder.encode(texts, Role.PASSAGE, with_tokens=True, truncate=True).tokens
        axes = principal_axes(tokens, self._late)
        self._spool.put(texts, axes, f"axes-{self._late}")
        return axes

    def _kept(self, texts: Sequence[str], axes: Vectors | None) -> tuple[Vector, list[Tokens]] | None:
        """Return what an earlier run has made of texts."""
        vectors = self._spool.get(texts)
        if vectors is None or axes is None:
            return None if vectors is None else (vectors, [])
        rows, counts = (self._spool.get(texts, kind) for kind in _kinds(axes))
        return None if rows is None or counts is None else (vectors, np.split(rows, np.cumsum(counts)[:-1]))

    def _made(self, texts: Sequence[str], axes: Vectors | None) -> tuple[Vector, list[Tokens]]:
        encoding = self._encoder.encode(texts, Role.PASSAGE, with_tokens=axes is not None, truncate=True)
        packs = [] if axes is None else [packed(tokens, axes) for tokens in encoding.tokens]
        if axes is not None:
            rows_kind, counts_kind = _kinds(axes)
            self._spool.put(texts, np.concatenate(packs), rows_kind)
            self._spool.put(texts, np.array([len(pack) for pack in packs], np.int32), counts_kind)
        self._spool.put(texts, encoding.pooled)  # last: it is looked for first
        return encoding.pooled, packs


def _kinds(axes: Vectors) -> tuple[str, str]:
    """Name what the spool keeps of texts beside their vectors: token vectors along axes, and their counts."""
    digest = hashlib.sha256(axes.tobytes()).hexdigest()
    return f"tokens-{digest}", f"counts-{digest}"
