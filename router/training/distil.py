"""`python -m router.training.distil`: makes the table of `word_vectors` out of what encoders say of single words.

Each teacher is a pair of files: a JSON list of words, the most common first, and their sentence embeddings (N, d) as
.npy. Any encoder will do; the first must be the multilingual one. Embeddings are centred, reduced to
`word_vectors.PARTS` numbers by PCA and rounded to four bits. Never imported at serving time; CARD.md names the teachers
of the shipped table.
"""

import argparse
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from router.commands.messages import run_command
from router.commands.outputs import arrays_with, claim, write
from router.errors import DatasetError
from router.features.int4 import LEVELS, pack
from router.features.word_vectors import DEFAULT_PATH, PARTS

Doubles = np.ndarray[Any, np.dtype[np.float64]]
SPREAD = 2.5  # standard deviations of a number that four bits span


def distil(teachers: Sequence[tuple[Sequence[str], Doubles]]) -> dict[str, Any]:
    """Make the table's arrays: words, (N, SIZE / 2) packed vectors, weights."""
    words = list(dict.fromkeys(word for names, _ in teachers for word in names))
    at = {word: row for row, word in enumerate(words)}
    table = np.zeros((len(words), sum(PARTS)), dtype=np.int8)
    scale = np.zeros(sum(PARTS), dtype=np.float32)
    weight = np.zeros(len(words), dtype=np.float32)
    start = 0
    for (names, vectors), size in zip(teachers, PARTS, strict=True):
        rows = [at[name] for name in names]
        part = reduced(vectors, size)
        scale[start : start + size] = SPREAD * part.std(axis=0) / LEVELS
        table[rows, start : start + size] = rounded(part / scale[start : start + size])
        rank = np.log(2 + np.arange(len(names))) / np.log(2 + len(names))  # Zipf: a word's rank stands for its rarity
        weight[rows] = np.where(weight[rows] > 0, np.minimum(weight[rows], rank), rank)
        start += size
    letters = np.frombuffer("\n".join(words).encode(), dtype=np.uint8)
    return {"words": letters, "table": pack(table), "scale": scale, "weight": weight}


def reduced(vectors: Doubles, size: int) -> Doubles:
    """Centre unit vectors and keep their `size` main directions."""
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    centred = unit - unit.mean(axis=0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    return np.asarray(centred @ directions[:size].T)


def rounded(vectors: Doubles) -> np.ndarray[Any, np.dtype[np.int8]]:
    """Round to -7..7."""
    return np.clip(np.rint(vectors), -LEVELS, LEVELS).astype(np.int8)


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the table of word vectors from two teachers' embeddings of words."""
    parser = argparse.ArgumentParser(prog="python -m router.training.distil", description=main.__doc__)
    parser.add_argument(
        "--words", nargs=2, type=Path, required=True, help="JSON lists, the multilingual teacher's first"
    )
    parser.add_argument("--vectors", nargs=2, type=Path, required=True, help=".npy files (N, d) in the same order")
    parser.add_argument("--keep", nargs=2, type=int, default=[22_000, 18_000], help="words of each")
    parser.add_argument("--out", type=Path, default=DEFAULT_PATH)
    options = parser.parse_args(arguments)
    return run_command(parser, lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    """Read both teachers, make the table, write it."""
    claim(options.out, arrays_with("words", "table", "scale", "weight"))
    teachers = []
    for words, vectors, keep in zip(options.words, options.vectors, options.keep, strict=True):
        teachers.append(_teacher(words, vectors, keep))
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **distil(teachers))
    write(options.out, buffer.getvalue())
    print(f"{options.out.name}: {options.out.stat().st_size / 1e6:.2f} MB")
    return 0


def _teacher(words: Path, vectors: Path, keep: int) -> tuple[list[str], Doubles]:
    """Read one teacher's first words and their vectors.

    Raises:
        DatasetError: a file is not what it must be.
    """
    try:
        said = json.loads(words.read_text(encoding="utf-8"))
        if not isinstance(said, list) or not all(isinstance(word, str) for word in said):
            raise ValueError("not a list of words")
    except ValueError as error:
        raise DatasetError(f"{words}: not a JSON list of words: {error}") from None
    try:
        return said[:keep], np.load(vectors)[:keep].astype(float)
    except (ValueError, EOFError) as error:
        raise DatasetError(f"{vectors}: not an array of NumPy: {error}") from None


if __name__ == "__main__":
    raise SystemExit(main())
