"""Texts that say the same: near-duplicates among what was asked, and overlap with rows that must stay unseen.

Near-duplicates by MinHash over shingles of three words (Broder 1997), with bands, so that 100,000 texts are no matter
of pairs; each suspicion is checked by the true Jaccard index. Overlap with held-out rows by n-grams of 13 words, as the
GPT-3 paper did it (Brown et al. 2020, appendix C); a shorter text overlaps where it is the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final
from zlib import crc32

import numpy as np

_WORD: Final = re.compile(r"\w+")
_SHINGLE: Final = 3  # words
_HASHES: Final = 64
_BANDS: Final = 16
_PRIME: Final = (1 << 61) - 1
NEAR: Final = 0.8  # Jaccard index of the shingles
OVERLAP: Final = 13  # words


def words_of(text: str) -> list[str]:
    """The text's words, in lower case."""
    return _WORD.findall(text.lower())


def first_of_each(texts: Sequence[str]) -> list[int]:
    """Return the places of texts that no earlier kept one is nearly the same as."""
    generator = np.random.default_rng(0)
    multiply, add = (generator.integers(1, _PRIME >> 30, _HASHES, dtype=np.uint64) for _ in range(2))
    buckets: dict[tuple[int, bytes], list[int]] = {}
    shingles: dict[int, frozenset[int]] = {}
    kept: list[int] = []
    for place, text in enumerate(texts):
        own = _shingles(text)
        bands = list(_bands(own, multiply, add))
        near = {other for band in bands for other in buckets.get(band, ())}
        if any(_jaccard(own, shingles[other]) >= NEAR for other in near):
            continue
        kept.append(place)
        shingles[place] = own
        for band in bands:
            buckets.setdefault(band, []).append(place)
    return kept


class Unseen:
    """What must not be learned from: the texts of held-out rows."""

    def __init__(self, rows: Iterable[object]) -> None:
        """Take rows of any form; every text in them counts."""
        self._grams: set[int] = set()
        self._whole: set[str] = set()
        for text in (text for row in rows for text in _texts(row)):
            words = words_of(text)
            if len(words) < OVERLAP:
                self._whole.add(" ".join(words))
            self._grams.update(_grams(words))

    def overlaps(self, text: str) -> bool:
        """Whether a text shares a run of words with one of them, or is one of them."""
        words = words_of(text)
        if len(words) < OVERLAP:
            return bool(words) and " ".join(words) in self._whole
        return not self._grams.isdisjoint(_grams(words))


def _shingles(text: str) -> frozenset[int]:
    words = words_of(text)
    if len(words) < _SHINGLE:
        return frozenset({crc32(" ".join(words).encode())})
    return frozenset(crc32(" ".join(words[at : at + _SHINGLE]).encode()) for at in range(len(words) - _SHINGLE + 1))


def _bands(shingles: frozenset[int], multiply: Any, add: Any) -> Iterator[tuple[int, bytes]]:  # noqa: ANN401  # arrays
    values = np.fromiter(shingles, dtype=np.uint64)[:, None]  # (shingles, 1)
    least = ((values * multiply + add) % np.uint64(_PRIME)).min(axis=0)  # (hashes,)
    for number, band in enumerate(least.reshape(_BANDS, -1)):
        yield number, band.tobytes()


def _jaccard(one: frozenset[int], other: frozenset[int]) -> float:
    return len(one & other) / len(one | other)


def _grams(words: Sequence[str]) -> Iterator[int]:
    return (hash(tuple(words[at : at + OVERLAP])) for at in range(len(words) - OVERLAP + 1))


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _texts(part)
