"""Stores two numbers of -7..7 in a byte, for `router/features/word_vectors.npz` and the network's n-grams."""

from typing import Any

import numpy as np

LEVELS = 7  # of each sign
WIDE_LEVELS = LEVELS * (2 * LEVELS + 2)  # of each sign, in two halves

Int8s = np.ndarray[Any, np.dtype[np.int8]]
Bytes = np.ndarray[Any, np.dtype[np.uint8]]


def pack(numbers: Int8s) -> Bytes:
    """Put (N, M) numbers into (N, M / 2) bytes; M is even."""
    shifted = (numbers + 8).astype(np.uint8)
    return np.asarray(shifted[:, ::2] << 4 | shifted[:, 1::2], dtype=np.uint8)


def unpack(packed: Bytes) -> Int8s:
    """Take them out again."""
    both = np.stack([packed >> 4, packed & 15], axis=2).reshape(len(packed), -1)
    return both.astype(np.int8) - 8


def halves(numbers: Int8s) -> tuple[Int8s, Int8s]:
    """Split numbers of -112..112 into (low, high) of -7..7 each: low + 15 * high."""
    high = np.rint(numbers / (2 * LEVELS + 1)).astype(np.int8)
    return numbers - high * np.int8(2 * LEVELS + 1), high


def whole(low: Int8s, high: Int8s) -> Int8s:
    """Put the halves together again."""
    return low + high * np.int8(2 * LEVELS + 1)
