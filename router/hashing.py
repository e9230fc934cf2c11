"""Hashed n-grams in numpy: the vocabulary-free half of the features.

`features.featurize` calls `hash_text` on each part of the window. Words, word pairs, the leading words and character
n-grams inside words share one table of `BUCKETS` weights; hashing is the same on every machine, so training and serving
agree without a dictionary to ship.
"""

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

BUCKET_BITS = 17
BUCKETS = 1 << BUCKET_BITS
MAX_WORDS = 400
WORD_CHARS = 24  # a longer word is cut: one 100,000-letter word is one feature
WIDE_FROM = 0x2E80  # from here on scripts are written without spaces: their 1- and 2-grams are words

_WORD = re.compile(r"\w+")
_DIGITS = re.compile(r"\d+")
_MIX = np.uint64(0x9E3779B97F4A7C15)  # Fibonacci hashing (Knuth 6.4): the high bits of the product are the bucket
_SHIFT = np.uint64(64 - BUCKET_BITS)

Indices = np.ndarray[Any, np.dtype[np.int64]]
Hashes = np.ndarray[Any, np.dtype[np.uint64]]
Floats = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True, slots=True)
class HashedText:
    """Buckets (n,) int64 and their weights (n,) float32; a bucket may repeat."""

    indices: Indices
    values: Floats

    @staticmethod
    def join(parts: "Sequence[HashedText]") -> "HashedText":
        """Lay several parts end to end."""
        return HashedText(
            np.concatenate([part.indices for part in parts]), np.concatenate([part.values for part in parts])
        )


def hash_text(text: str, weight: float, *, lead: bool = False) -> HashedText:
    """Hash normalised text; each family of n-grams is scaled to length `weight`, so long text does not shout.

    Args:
        text: lower case and capped, as `window` makes it.
        weight: how much this part counts.
        lead: also hash the first words as such: "write a", "who was" say more at the start.
    """
    text = _DIGITS.sub("0", text)
    words = [word[:WORD_CHARS] for word in _WORD.findall(text)[:MAX_WORDS]]
    codes = _word_codes(words)
    families = [codes, _pairs(codes), _char_ngrams(text)]
    if lead:
        families.append(_lead(codes))
    return HashedText.join([_bucket(family, weight) for family in families])


def name_buckets(text: str) -> dict[int, str]:
    """Map buckets back to n-grams of a (normalised) text, for explanations; longer units win a collision."""
    text = _DIGITS.sub("0", text)
    words = [word[:WORD_CHARS] for word in _WORD.findall(text)[:MAX_WORDS]]
    codes = _word_codes(words)
    packed = f" {' '.join(_WORD.findall(text))} "
    named: dict[int, str] = {}
    for size in (3, 4):
        for gram in {packed[at : at + size] for at in range(len(packed) - size + 1)}:
            if " " not in gram[1:-1]:
                named |= dict.fromkeys(_bucket(_char_ngrams(gram.strip(" ")), 1.0).indices.tolist(), f"…{gram}…")
    named |= dict(zip(_places(codes), words, strict=True))
    named |= dict(zip(_places(_pairs(codes)), [" ".join(pair) for pair in pairwise(words)], strict=True))
    lead = [f"^{' '.join(words[:end])}" for end in range(1, min(3, len(words)) + 1)]
    return named | dict(zip(_places(_lead(codes)), lead, strict=True))


def _word_codes(words: Sequence[str]) -> Hashes:
    """Hash each word to 32 bits."""
    return np.fromiter((zlib.crc32(word.encode("utf-8", "replace")) for word in words), np.uint64, len(words))


def _pairs(codes: Hashes) -> Hashes:
    """Hash each two neighbouring words, in order."""
    return codes[:-1] * _MIX + codes[1:] + np.uint64(1)


def _places(hashes: Hashes) -> list[int]:
    """Fold hashes into bucket numbers."""
    return [int(place) for place in (hashes * _MIX) >> _SHIFT]


def _lead(codes: Hashes) -> Hashes:
    """Hash the first one, two and three words, each under a salt of its own."""
    ends = range(1, min(3, len(codes)) + 1)
    return np.array([zlib.crc32(codes[:end].tobytes()) + (7 << 33) for end in ends], dtype=np.uint64)


def _char_ngrams(text: str) -> Hashes:
    """Hash 3- and 4-grams that do not cross a word's edge, and 1- and 2-grams of scripts without spaces."""
    packed = f" {' '.join(_WORD.findall(text))} "
    chars = np.frombuffer(packed.encode("utf-32-le", "replace"), dtype="<u4").astype(np.uint64)
    is_space = chars == 32
    two = chars[:-1] * np.uint64(0x100000001B3) + chars[1:]
    three = two[:-1] * np.uint64(0x100000001B3) + chars[2:]
    four = three[:-1] * np.uint64(0x100000001B3) + chars[3:]
    inner = ~is_space[1:-1]
    grams = [three[inner] + np.uint64(3 << 40), four[inner[:-1] & inner[1:]] + np.uint64(4 << 40)]
    wide = chars >= WIDE_FROM
    if wide.any():
        grams += [chars[wide] + np.uint64(1 << 40), two[wide[:-1] & wide[1:]] + np.uint64(2 << 40)]
    return np.concatenate(grams)


def _bucket(hashes: Hashes, weight: float) -> HashedText:
    """Fold hashes into buckets, once each, with equal weights of joint length `weight`."""
    unique = np.unique((hashes * _MIX) >> _SHIFT).astype(np.int64)
    value = weight / np.sqrt(max(1, unique.size))
    return HashedText(unique, np.full(unique.size, value, dtype=np.float32))
