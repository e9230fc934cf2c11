"""Collections in LanceDB, embedded: a table each, in a folder of this machine or in object storage (`s3://...`).

https://lancedb.github.io/lancedb/. A commit of Lance is a new manifest, written last: a reader sees the table before a
change or after it, and a process that dies in between leaves files that nobody reads. One `merge_insert` is one commit,
so a change that replaces, adds and removes is one, too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from typing import Any, Final

import lancedb
import numpy as np
import pyarrow as pa
from lancedb.index import FTS
from lancedb.query import MatchQuery

from experts.retrieval.store import (
    About,
    Change,
    CollectionBroken,
    CollectionMissing,
    Hit,
    Passage,
    StoreError,
    Vector,
    check_name,
)

_ABOUT: Final = b"moegate.collection"
_FRESH: Final = timedelta(seconds=2)  # readers see a change after so long at the latest
_FOUND: Final = ("id", "file", "title", "place", "words", "vector")


class LanceStore:
    """The store; one object may be used by several threads."""

    def __init__(self, uri: str) -> None:
        """`uri` is a folder, which is made, or an object store's address.

        Raises:
            StoreError: it cannot be opened.
        """
        self._tables: dict[str, Any] = {}
        with _failures_told():
            self._database = lancedb.connect(uri, read_consistency_interval=_FRESH)

    def names(self) -> tuple[str, ...]:
        """Name the collections."""
        with _failures_told():
            page = self._database.list_tables(limit=1000)
            found = list(page.tables)
            while page.page_token:
                page = self._database.list_tables(page_token=page.page_token, limit=1000)
                found += page.tables
        return tuple(sorted(found))

    def about(self, collection: str) -> About:
        """Tell of a collection."""
        with self._table(collection) as table:
            return _read_about(table.schema)

    def files(self, collection: str) -> dict[str, str]:
        """Return the hash of each file that a collection holds."""
        try:
            with self._table(collection) as table:
                rows = table.search().select(["file", "hash"]).limit(None).to_arrow()
        except CollectionMissing:
            return {}
        return dict(zip(rows["file"].to_pylist(), rows["hash"].to_pylist(), strict=True))

    def count(self, collection: str) -> int:
        """Count a collection's passages."""
        with self._table(collection) as table:
            return int(table.count_rows())

    def change(self, collection: str, change: Change) -> None:
        """Take a change up in one commit, then bring the word index up to it; new rows are found before that, too."""
        check_name(collection)
        rows = _rows(change)
        try:
            self._merge(collection, change, rows)
        except CollectionMissing:
            with _failures_told():
                table = self._database.create_table(collection, rows)
                table.create_index("words", config=_word_index(change.about.language))

    def by_words(self, collection: str, query: str, k: int) -> list[Hit]:
        """Find by BM25."""
        with self._table(collection) as table:
            if not any(letter.isalnum() for letter in query):
                return []
            search = table.search(_match(query), query_type="fts")
            rows = search.select([*_FOUND, "_score"]).limit(k).to_arrow()
        return _hits(rows, rows["_score"].to_pylist())

    def by_meaning(self, collection: str, query: Vector, k: int) -> list[Hit]:
        """Find by the vectors' product."""
        with self._table(collection) as table:
            search = table.search(query, vector_column_name="vector").distance_type("dot")
            rows = search.select([*_FOUND, "_distance"]).limit(k).to_arrow()
        return _hits(rows, [1 - distance for distance in rows["_distance"].to_pylist()])

    def drop(self, collection: str) -> None:
        """Remove a collection."""
        with self._table(collection):
            self._database.drop_table(collection)
        self._tables.pop(collection, None)

    def close(self) -> None:
        """Forget the tables."""
        self._tables.clear()

    def _merge(self, collection: str, change: Change, rows: pa.Table) -> None:
        with self._table(collection) as table:
            table.checkout_latest()
            if _read_about(table.schema) != change.about:
                what = "was made by another encoder, or for another language"
                raise CollectionBroken(f"the collection {collection!r} {what}; drop it, and index its files again")
            merge = table.merge_insert("id").when_matched_update_all().when_not_matched_insert_all()
            if change.replaced:
                going = ", ".join(_quoted(file) for file in sorted(change.replaced))
                merge = merge.when_not_matched_by_source_delete(f"file IN ({going})")
            merge.execute(rows)
            table.optimize()

    @contextmanager
    def _table(self, collection: str) -> Iterator[Any]:
        """Hold a collection's table; one that was removed elsewhere is forgotten.

        Raises:
            CollectionMissing: there is none of that name.
        """
        check_name(collection)
        table = self._tables.get(collection)
        if table is None:
            try:
                table = self._tables[collection] = self._database.open_table(collection)
            except (ValueError, FileNotFoundError):
                raise CollectionMissing(f"there is no collection {collection!r}") from None
            except RuntimeError as error:
                raise StoreError(f"the collection {collection!r} cannot be opened") from error
        try:
            with _failures_told():
                yield table
        except StoreError:
            self._tables.pop(collection, None)
            raise


@contextmanager
def _failures_told() -> Iterator[None]:
    """Turn the library's failures into ours; their texts hold paths, and stay in the chain."""
    try:
        yield
    except StoreError:
        raise
    except (RuntimeError, OSError, ValueError) as error:
        raise StoreError(f"the store failed: {type(error).__name__}") from error


def _schema(about: About) -> pa.Schema:
    text = pa.string()
    columns = [(name, text) for name in ("id", "file", "hash", "title", "place", "words")]
    vector = pa.list_(pa.float32(), about.dimensions)
    return pa.schema([*columns, ("vector", vector)], metadata={_ABOUT: json.dumps(asdict(about)).encode()})


def _read_about(schema: pa.Schema) -> About:
    """Read what a table says of itself.

    Raises:
        CollectionBroken: it is no collection of ours.
    """
    try:
        return About(**json.loads((schema.metadata or {})[_ABOUT]))
    except (KeyError, ValueError, TypeError):
        raise CollectionBroken("there is a table of that name that is no collection of moegate's") from None


def _rows(change: Change) -> pa.Table:
    passages = change.passages
    flat = pa.array(np.ascontiguousarray(change.vectors, np.float32).reshape(-1), pa.float32())
    columns = [
        pa.array([passage.id for passage in passages], pa.string()),
        pa.array([passage.file for passage in passages], pa.string()),
        pa.array([change.files[passage.file] for passage in passages], pa.string()),
        pa.array([passage.title for passage in passages], pa.string()),
        pa.array([passage.place for passage in passages], pa.string()),
        pa.array([passage.words for passage in passages], pa.string()),
        pa.FixedSizeListArray.from_arrays(flat, change.about.dimensions),
    ]
    return pa.Table.from_arrays(columns, schema=_schema(change.about))


def _match(query: str) -> Any:  # noqa: ANN401  # the library's types know nothing of its defaults
    kind: Any = MatchQuery
    return kind(query, "words")


def _word_index(language: str) -> FTS:
    if language:
        return FTS(language=language)
    return FTS(base_tokenizer="icu", stem=False, remove_stop_words=False)  # words as Unicode cuts them


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _hits(rows: pa.Table, scores: Sequence[float]) -> list[Hit]:
    """Read what a search has found; its vectors as one array, of which each hit has a row."""
    width = rows.schema.field("vector").type.list_size
    flat = rows["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    vectors: Vector = flat.astype(np.float32, copy=False).reshape(-1, width)
    texts = (rows[name].to_pylist() for name in ("id", "file", "title", "place", "words"))
    return [
        Hit(Passage(key, file, title, place, words[len(title) + 1 :] if title else words), vector, score)
        for key, file, title, place, words, vector, score in zip(*texts, vectors, scores, strict=True)
    ]
