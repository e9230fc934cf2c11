"""A text's words as a sparse vector, for stores that have no word search of their own.

The product of a passage's vector (`weighted`) with a query's (ones) is BM25 without the rarity of words, which the
store knows: Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond (2009).
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

from snowballstemmer import stemmer

from experts.retrieval.store import StoreError

Stem = Callable[[str], str] | None
"""Cuts the ending off a word; None where words count as they are."""

_K1: Final = 1.2  # how soon more of the same word stops counting
_B: Final = 0.75  # how much long passages are held back
_MEAN_WORDS: Final = 100.0  # of a passage, about (`experts.retrieval.cut`): the true mean changes with each
_WORD: Final = re.compile(r"[^\W_]+")
_STOP: Final = frozenset(
    {"a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in", "into", "is", "it", "no", "not", "of"}
    | {"on", "or", "such", "that", "the", "their", "then", "there", "these", "they", "this", "to", "was", "will"}
    | {"with"}
)
"""English ones, which Lucene leaves out, too."""


def stem_of(language: str) -> Stem:
    """Return what cuts the endings off a language's words; None for the empty one.

    Raises:
        StoreError: nobody knows that language's endings.
    """
    try:
        return stemmer(language.lower()).stemWord if language else None
    except KeyError:
        raise StoreError(f"{language}: no such language is known") from None


def counted(text: str, stem: Stem) -> dict[int, int]:
    """Count a text's words, each as a number; English ones that say nothing are left out where endings are cut."""
    words = _WORD.findall(text.casefold())
    kept = words if stem is None else [stem(word) for word in words if word not in _STOP]
    return {_number(word): count for word, count in Counter(kept).items()}


def weighted(counts: Mapping[int, int]) -> list[float]:
    """Return what each of a passage's words counts."""
    length = _B * sum(counts.values()) / _MEAN_WORDS + 1 - _B
    return [count * (_K1 + 1) / (count + _K1 * length) for count in counts.values()]


def _number(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode(), digest_size=4).digest(), "big")
