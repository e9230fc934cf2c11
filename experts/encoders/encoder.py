"""What every encoder is: the protocol, and the nouns that cross it.

An encoder turns texts into vectors whose dot product tells how near their meanings are. `experts.encoders.batching`
shares one among many callers, `experts.cluster.encoder_deployment` serves it on Ray Serve. Failures are those of
`experts.engine`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from experts.engine import EngineError, InvalidRequest

Vectors = npt.NDArray[np.float32]
"""Rows of Euclidean length 1: (texts, dimensions), or (tokens, dimensions) of one text."""


class Role(StrEnum):
    """What a text is to the other side of a search; some models read the two differently."""

    QUERY = "query"
    PASSAGE = "passage"


class TextTooLong(InvalidRequest):
    """A text has more tokens than the encoder reads."""

    slug: ClassVar[str] = "text_too_long"


class NoCollection(InvalidRequest):
    """There is no collection of that name, or no store at all."""

    slug: ClassVar[str] = "no_collection"


class StoreFailed(EngineError):
    """The collections cannot be searched now."""

    slug: ClassVar[str] = "store_failed"


@dataclass(frozen=True, slots=True)
class Encoding:
    """What became of some texts, in their order.

    Attributes:
        pooled: a vector for each text: (texts, dimensions).
        token_counts: the tokens that were read of each text, special ones included.
        tokens: a vector for each token of each text, (tokens, dimensions); empty where nobody asked for them.
    """

    pooled: Vectors
    token_counts: tuple[int, ...]
    tokens: tuple[Vectors, ...] = ()

    def part(self, start: int, end: int) -> Encoding:
        """Return the part of some of the texts."""
        return Encoding(self.pooled[start:end], self.token_counts[start:end], self.tokens[start:end])


def joined(parts: Sequence[Encoding]) -> Encoding:
    """Put encodings of consecutive texts together.

    Raises:
        ValueError: there is none.
    """
    counts = tuple(count for part in parts for count in part.token_counts)
    tokens = tuple(vectors for part in parts for vectors in part.tokens)
    return Encoding(np.concatenate([part.pooled for part in parts]), counts, tokens)


class Encode(Protocol):
    """Turns texts into vectors. A call takes processor time and blocks; one thread calls at a time."""

    @property
    def dimensions(self) -> int:
        """The length of a vector."""

    @property
    def max_tokens(self) -> int:
        """The most tokens of a text that are read, special ones included."""

    @property
    def artifact(self) -> str:
        """The content hash of its weights: vectors of different weights cannot be compared."""

    def encode(
        self, texts: Sequence[str], role: Role, *, with_tokens: bool = False, truncate: bool = False
    ) -> Encoding:
        """Encode texts.

        Args:
            texts: at least one.
            role: what they are.
            with_tokens: whether a vector for each token is wanted, too.
            truncate: whether the end of a text that is too long may be left unread.

        Raises:
            TextTooLong: a text is, and may not be cut.
        """
