"""A collection's rows in this process's memory: what makes a search among some thousand passages cheap.

Comparing a question with 10,000 vectors in a matrix takes 0.7 ms of a processor; having Lance read and compare them
takes 17, and its reading the rows that a word search has found as much as the search. A copy is of one version of a
table. It costs 2.4 kB a passage (384 dimensions), so there is a bound, beyond which Lance does it all.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from experts.retrieval.store import Hit, Passage, Vector

MOST_PASSAGES: Final = 100_000
"""Of all collections together that are held."""
COLUMNS: Final = ("id", "file", "title", "place", "words", "vector")
"""What is read of a row."""
ROW_ID: Final = "_rowid"
MADE: Final = b"moegate.made"
"""In a table's metadata: a word that no other table of its name has had."""


class HeldRows:
    """The rows of one version of a table."""

    def __init__(self, version: object, rows: pa.Table) -> None:
        """`rows` has `COLUMNS`, and the numbers by which Lance knows rows: it gives none a second time."""
        self.version = version
        rows = rows.sort_by(ROW_ID)
        self._rows = rows.select(COLUMNS[:-1]).combine_chunks()
        self._vectors = vectors_of(rows)
        self._numbers = rows[ROW_ID].to_numpy()

    def __len__(self) -> int:
        return len(self._vectors)

    def nearest(self, query: Vector, k: int) -> list[Hit]:
        """Find the rows whose vectors have the greatest product with a query's, best first."""
        products = self._vectors @ query
        most = min(k, len(products))
        places = np.argpartition(products, -most)[-most:] if most else np.empty(0, np.int64)
        places = places[np.argsort(-products[places], kind="stable")]
        return self._hits(places.tolist(), products[places].tolist())

    def numbered(self, found: pa.Table, scores: str) -> list[Hit]:
        """Make hits of what Lance has found; a row that another version of the table has is left out."""
        numbers = found[ROW_ID].to_numpy()
        places = np.searchsorted(self._numbers, numbers)
        places = np.minimum(places, max(len(self) - 1, 0))
        is_here = self._numbers[places] == numbers if len(self) else np.zeros(len(numbers), np.bool_)
        return self._hits(places[is_here].tolist(), found[scores].to_numpy()[is_here].tolist())

    def _hits(self, places: Sequence[int], scores: Sequence[float]) -> list[Hit]:
        taken = self._rows.take(pa.array(places, pa.int64()))
        return hits_of(taken, self._vectors[np.asarray(places, np.int64)], scores)


class HeldCollections:
    """Which collections are held: those searched last, as many as there is room for. Threads may share it."""

    def __init__(self, most_passages: int) -> None:
        """`most_passages` are held."""
        self._most = most_passages
        self._held: dict[str, HeldRows] = {}
        self._lock = threading.Lock()

    def get(self, collection: str, table: Any) -> HeldRows | None:  # noqa: ANN401  # the library's types say less
        """Return the rows of a table as it is now; None where they are too many."""
        version = (table.version, (table.schema.metadata or {}).get(MADE))
        held = self._held.get(collection)
        if held is not None and held.version == version:
            return held
        with self._lock:  # who comes second finds what the first has read
            held = self._held.get(collection)
            if held is not None and held.version == version:
                return held
            self._held.pop(collection, None)
            if table.count_rows() > self._most:
                return None
            rows = HeldRows(version, table.search().select(list(COLUMNS)).with_row_id(True).limit(None).to_arrow())
            self._make_room(len(rows))
            self._held[collection] = rows
            return rows

    def forget(self, collection: str) -> None:
        """Let go of a collection's rows."""
        self._held.pop(collection, None)

    def clear(self) -> None:
        """Let go of all."""
        self._held.clear()

    def _make_room(self, passages: int) -> None:
        while self._held and passages + sum(map(len, self._held.values())) > self._most:
            del self._held[next(iter(self._held))]  # the one that was read first


def vectors_of(rows: pa.Table) -> Vector:
    """Return the vectors of rows as one array, (rows, dimensions)."""
    width = rows.schema.field("vector").type.list_size
    flat = rows["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return np.ascontiguousarray(flat, np.float32).reshape(-1, width)


def hits_of(rows: pa.Table, vectors: Vector, scores: Sequence[float]) -> list[Hit]:
    """Make hits of rows, their vectors and their scores."""
    texts = (rows[name].to_pylist() for name in COLUMNS[:-1])
    return [
        Hit(Passage(key, file, title, place, words[len(title) + 1 :] if title else words), vector, score)
        for key, file, title, place, words, vector, score in zip(*texts, vectors, scores, strict=True)
    ]
