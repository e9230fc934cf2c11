"""Hashed n-grams in numpy: the vocabulary-free half of the features.

`features.featurize_turn` hashes each part of the window. Words, word pairs, the leading words and character
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

BUCKET_BITS = 19  # 316,000 different n-grams of the seeds: at 17 they shared 131,072 places (docs/results.md)
BUCKETS = 1 << BUCKET_BITS
MAX_WORDS = 400
WORD_CHARS = 24  # a longer word is cut: one 100,000-letter word is one feature
WIDE_FROM = 0x2E80  # from here on scripts are written without spaces: their 1- and 2-grams are words

# `\w` leaves out the vowel signs of Hebrew, Arabic, the Indic scripts and Thai and would cut their words apart.
_WORD = re.compile(r"[\w\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0900-\u0963\u0966-\u0dff\u0e31-\u0e4e\u200c\u200d]+")
_ASCII_WORD = re.compile(r"\w+")  # the same words where text is ASCII, found faster
_DIGITS = re.compile(r"\d+")
_MIX = np.uint64(0x9E3779B97F4A7C15)  # Fibonacci hashing (Knuth 6.4): the high bits of the product are the bucket
_SHIFT = np.uint64(64 - BUCKET_BITS)
_STEP = np.uint64(0x100000001B3)
_PAIR = np.uint64(1)
_SALTS = [np.uint64(size << 40) for size in range(5)]  # n-grams of n characters

Indices = np.ndarray[Any, np.dtype[np.int64]]
Hashes = np.ndarray[Any, np.dtype[np.uint64]]
Floats = np.ndarray[Any, np.dtype[np.float32]]


Family = tuple[Hashes, float]  # hashes of one kind, and the length their weights are to have together


@dataclass(frozen=True, slots=True)
class HashedText:
    """Buckets (n,) int64 and their weights (n,) float32; a bucket may repeat."""

    indices: Indices
    values: Floats


def text_families(found: Sequence[str], weight: float, *, lead: bool = False) -> list[Family]:
    """Hash a text's words into words, pairs, characters and, with `lead`, its first words.

    Each family is scaled to length `weight`, so long text does not shout; "write a", "who was" say more at the start.

    Args:
        found: its words, as `split_words` makes them of lower-case text that `window` has capped.
        weight: how much this part counts.
        lead: also hash the first words as such.
    """
    codes = _word_codes(cut(found))
    families = [codes, _pairs(codes), _char_ngrams(found)]
    return [(family, weight) for family in ([*families, _lead(codes)] if lead else families)]


def bucket(families: Sequence[Family]) -> HashedText:
    """Fold hashes into buckets: within a family once each, with equal weights. One sort for all families."""
    joined = np.concatenate([hashes for hashes, _ in families])
    offsets = (np.arange(len(families)) << BUCKET_BITS).repeat([len(hashes) for hashes, _ in families])
    places = ((joined * _MIX) >> _SHIFT).astype(np.int64)
    places += offsets
    places.sort()
    is_first = np.ones(len(places), dtype=np.bool_)
    np.not_equal(places[1:], places[:-1], out=is_first[1:])
    places = places[is_first]
    family = places >> BUCKET_BITS
    counts = np.maximum(1, np.bincount(family, minlength=len(families)))
    value = np.array([weight for _, weight in families], dtype=np.float32) / np.sqrt(counts, dtype=np.float32)
    return HashedText(places & (BUCKETS - 1), value[family])


def place_of(code: Hashes | np.uint64) -> int:
    """Fold one hash into its bucket number."""
    return _places(np.atleast_1d(np.asarray(code, dtype=np.uint64)))[0]


def words_of(text: str) -> list[str]:
    """Split a normalised text into words, each cut at `WORD_CHARS`, at most `MAX_WORDS`."""
    return cut(split_words(text))


def cut(found: Sequence[str]) -> list[str]:
    """Cut whole words at `WORD_CHARS`, and leave out what comes after `MAX_WORDS` of them."""
    return [word[:WORD_CHARS] for word in found[:MAX_WORDS]]


def split_words(text: str) -> list[str]:
    """Split a normalised text into whole words, every number made one 0."""
    return (_ASCII_WORD if text.isascii() else _WORD).findall(_DIGITS.sub("0", text))


def name_buckets(text: str) -> dict[int, str]:
    """Map buckets back to n-grams of a (normalised) text, for explanations; longer units win a collision."""
    words = words_of(text)
    codes = _word_codes(words)
    packed = f" {' '.join(split_words(text))} "
    named: dict[int, str] = {}
    for size in (3, 4):
        for gram in dict.fromkeys(packed[at : at + size] for at in range(len(packed) - size + 1)):
            if " " not in gram[1:-1]:
                named |= dict.fromkeys(_places(_char_ngrams([gram.strip(" ")])), f"…{gram}…")
    named |= dict(zip(_places(codes), words, strict=True))
    named |= dict(zip(_places(_pairs(codes)), [" ".join(pair) for pair in pairwise(words)], strict=True))
    lead = [f"^{' '.join(words[:end])}" for end in range(1, min(3, len(words)) + 1)]
    return named | dict(zip(_places(_lead(codes)), lead, strict=True))


def _word_codes(words: Sequence[str]) -> Hashes:
    """Hash each word to 32 bits."""
    return np.array([zlib.crc32(word.encode("utf-8", "replace")) for word in words], dtype=np.uint64)


def _pairs(codes: Hashes) -> Hashes:
    """Hash each two neighbouring words, in order."""
    return codes[:-1] * _MIX + codes[1:] + _PAIR


def _places(hashes: Hashes) -> list[int]:
    """Fold hashes into bucket numbers."""
    return [int(place) for place in (hashes * _MIX) >> _SHIFT]


def _lead(codes: Hashes) -> Hashes:
    """Hash the first one, two and three words, each under a salt of its own."""
    first = codes[:3].tobytes()
    return np.array([zlib.crc32(first[:end]) + (7 << 33) for end in range(8, len(first) + 1, 8)], dtype=np.uint64)


def _char_ngrams(found: Sequence[str]) -> Hashes:
    """Hash 3- and 4-grams that do not cross a word's edge, and 1- and 2-grams of scripts without spaces."""
    packed = f" {' '.join(found)} "
    is_ascii = packed.isascii()
    raw = packed.encode("ascii" if is_ascii else "utf-32-le", "replace")
    chars = np.frombuffer(raw, dtype=np.uint8 if is_ascii else "<u4").astype(np.uint64)
    two = chars[:-1] * _STEP + chars[1:]
    three = two[:-1] * _STEP + chars[2:]
    four = three[:-1] * _STEP + chars[3:]
    inner = chars[1:-1] != 32
    grams = [three[inner] + _SALTS[3], four[inner[:-1] & inner[1:]] + _SALTS[4]]
    if not is_ascii:
        wide = chars >= WIDE_FROM
        grams += [chars[wide] + _SALTS[1], two[wide[:-1] & wide[1:]] + _SALTS[2]]
    return np.concatenate(grams)
