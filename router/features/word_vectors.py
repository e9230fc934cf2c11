"""What words mean, roughly: a table of word vectors distilled from two sentence encoders.

`features.featurize_turn` averages it over the user's own words, so that a word that no seed used ("kubectl",
"mitochondria") still counts as what it is similar to. One dictionary look-up a word. The table (`word_vectors.npz`,
made by `distil`) ships with moegate.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from router.features.int4 import unpack
from router.features.lexicon import is_unspaced

DEFAULT_PATH = Path(__file__).with_name("word_vectors.npz")
PARTS = (96, 96)  # numbers a word: from a multilingual encoder, from an English one
SIZE = sum(PARTS)
SCALE = 0.75  # length of each part beside n-grams, whose families are about 1 long (CARD.md)
MAX_WORDS = 120  # of a text; with more, the first
LONGEST_RUN = 60  # characters of a word without spaces that are searched
LONGEST_INNER = 4
SHORTEST_STEM = 4
CUT = 3  # letters that an ending may have

Floats = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True, slots=True)
class Vectors:
    """Word vectors.

    Attributes:
        rows: word to row.
        table: (N, SIZE) int8; zeros where an encoder does not know the word.
        scale: what 1 in the table is worth, (SIZE,) float32.
        weight: how much a word says, (N,) float32; the commonest say least.
    """

    rows: dict[str, int]
    table: np.ndarray[Any, np.dtype[np.int8]]
    scale: Floats
    weight: Floats

    def pool(self, words: Sequence[str]) -> Floats:
        """Average the words, each once; (SIZE,), each part of length `SCALE`, or 0 where nothing is known."""
        rows = self.rows_of(words)
        if not rows:
            return np.zeros(SIZE, dtype=np.float32)
        found = np.array(rows)
        pooled: Floats = (self.weight[found] @ self.table.take(found, axis=0).astype(np.float32)) * self.scale
        for part in (pooled[: PARTS[0]], pooled[PARTS[0] :]):
            np.multiply(part, SCALE / max(1e-6, float(np.sqrt(part @ part))), out=part)
        return pooled

    def rows_of(self, words: Sequence[str]) -> list[int]:
        """Look words up, each row once."""
        rows: dict[int, None] = {}
        for word in words[:MAX_WORDS]:
            row = self.rows.get(word)
            if row is None:
                rows |= dict.fromkeys(self._pieces(word))
            else:
                rows[row] = None
        return list(rows)

    def _pieces(self, word: str) -> Iterator[int]:
        """Look an unknown word up by its beginning, or by the pieces of a run without spaces."""
        if not word.isascii() and is_unspaced(word[0]):
            yield from self._inside(word[:LONGEST_RUN])
            return
        for size in range(len(word) - 1, max(SHORTEST_STEM, len(word) - CUT) - 1, -1):
            row = self.rows.get(word[:size])
            if row is not None:
                yield row
                return

    def _inside(self, run: str) -> Iterator[int]:
        """Match the longest words inside a run of characters, left to right."""
        at = 0
        while at < len(run):
            for size in range(min(LONGEST_INNER, len(run) - at), 0, -1):
                row = self.rows.get(run[at : at + size])
                if row is not None:
                    yield row
                    break
            else:
                size = 1
            at += size


def read_vectors(path: Path) -> Vectors:
    """Read a table as `distil` writes it."""
    with np.load(path, allow_pickle=False) as arrays:
        words = arrays["words"].tobytes().decode().split("\n")
        rows = {word: at for at, word in enumerate(words)}
        return Vectors(rows, unpack(arrays["table"]), arrays["scale"], arrays["weight"])


@lru_cache(maxsize=1)
def shipped_vectors() -> Vectors:
    """Read the table that ships with moegate, once."""
    return read_vectors(DEFAULT_PATH)
