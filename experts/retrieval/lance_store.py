"""Collections in LanceDB, embedded: a table each, in a folder of this machine or in object storage (`s3://...`).

https://lancedb.github.io/lancedb/. A commit of Lance is a new manifest, written last: a reader sees the table before a
change or after it, and a process that dies in between leaves files that nobody reads. One `merge_insert` is one commit,
so a change that replaces, adds and removes is one, too.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from typing import Any, Final

import lancedb
import numpy as np
import pyarrow as pa
from lancedb.index import FTS, BTree
from lancedb.query import MatchQuery

from experts.retrieval.held import COLUMNS, MADE, MOST_PASSAGES, HeldCollections, hits_of, vectors_of
from experts.retrieval.late import Tokens
from experts.retrieval.store import (
    NAME,
    About,
    Change,
    CollectionBroken,
    CollectionMissing,
    Hit,
    StoreError,
    Vector,
    check_name,
    made_otherwise,
)

_ABOUT: Final = b"moegate.collection"
_AXES: Final = b"moegate.axes"
_FRESH: Final = timedelta(seconds=2)  # readers see a change after so long at the latest


class LanceStore:
    """The store; one object may be used by several threads."""

    def __init__(self, uri: str, *, held_passages: int = MOST_PASSAGES) -> None:
        """Open it.

        Args:
            uri: a folder, which is made, or an object store's address.
            held_passages: of how many the rows may be held in memory.

        Raises:
            StoreError: it cannot be opened.
        """
        self._tables: dict[str, Any] = {}
        self._held = HeldCollections(held_passages)
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
                table = self._database.create_table(collection, _named_apart(rows, change.axes))
                table.create_index("words", config=_word_index(change.about.language))
                if change.about.late:
                    table.create_index("id", config=BTree())

    def by_words(self, collection: str, query: str, k: int) -> list[Hit]:
        """Find by BM25."""
        with self._table(collection) as table:
            if not any(letter.isalnum() for letter in query):
                return []
            search = table.search(_match(query), query_type="fts").limit(k)
            if (held := self._held.get(collection, table)) is not None:
                return held.numbered(search.select(["_score"]).with_row_id(True).to_arrow(), "_score")
            rows = search.select([*COLUMNS, "_score"]).to_arrow()
        return hits_of(rows, vectors_of(rows), rows["_score"].to_pylist())

    def by_meaning(self, collection: str, query: Vector, k: int) -> list[Hit]:
        """Find by the vectors' product."""
        with self._table(collection) as table:
            if (held := self._held.get(collection, table)) is not None:
                return held.nearest(query, k)
            search = table.search(query, vector_column_name="vector").distance_type("dot").limit(k)
            rows = search.select([*COLUMNS, "_distance"]).to_arrow()
        return hits_of(rows, vectors_of(rows), [1 - distance for distance in rows["_distance"].to_pylist()])

    def axes(self, collection: str) -> Vector | None:
        """Return the axes of a collection's token vectors."""
        with self._table(collection) as table:
            raw = (table.schema.metadata or {}).get(_AXES)
            late = _read_about(table.schema).late
        return np.frombuffer(base64.b64decode(raw), "<f2").astype(np.float32).reshape(-1, late) if raw else None

    def tokens(self, collection: str, ids: Sequence[str]) -> dict[str, Tokens]:
        """Return the token vectors of passages; the index of ids finds their rows."""
        with self._table(collection) as table:
            late = _read_about(table.schema).late
            wanted = table.search().where(f"id IN ({', '.join(map(_quoted, ids))})").select(["id", "tokens"])
            rows = wanted.limit(len(ids)).to_arrow()
        packs = (np.frombuffer(raw, np.int8).reshape(-1, late) for raw in rows["tokens"].to_pylist())
        return dict(zip(rows["id"].to_pylist(), packs, strict=True))

    def drop(self, collection: str) -> None:
        """Remove a collection."""
        with self._table(collection):
            self._database.drop_table(collection)
        self._forget(collection)

    def close(self) -> None:
        """Forget the tables."""
        self._tables.clear()
        self._held.clear()

    def _merge(self, collection: str, change: Change, rows: pa.Table) -> None:
        with self._table(collection) as table:
            table.checkout_latest()
            if _read_about(table.schema) != change.about:
                raise made_otherwise(collection)
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
        if not NAME.fullmatch(collection):
            raise CollectionMissing("there is no collection of such a name")
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
            self._forget(collection)
            raise

    def _forget(self, collection: str) -> None:
        self._tables.pop(collection, None)
        self._held.forget(collection)


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
    more = [("tokens", pa.binary())] if about.late else []
    return pa.schema([*columns, ("vector", vector), *more], metadata={_ABOUT: json.dumps(asdict(about)).encode()})


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
    if change.about.late:
        columns.append(pa.array([tokens.tobytes() for tokens in change.tokens], pa.binary()))
    return pa.Table.from_arrays(columns, schema=_schema(change.about))


def _named_apart(rows: pa.Table, axes: Vector | None) -> pa.Table:
    """Tell a new table from one that had its name before, whose versions had the same numbers; and keep its axes."""
    told = {MADE: secrets.token_bytes(8).hex().encode()}
    if axes is not None:
        told[_AXES] = base64.b64encode(axes.astype("<f2").tobytes())
    return rows.replace_schema_metadata({**rows.schema.metadata, **told})


def _match(query: str) -> Any:  # noqa: ANN401  # the library's types know nothing of its defaults
    kind: Any = MatchQuery
    return kind(query, "words")


def _word_index(language: str) -> FTS:
    if language:
        return FTS(language=language)
    return FTS(base_tokenizer="icu", stem=False, remove_stop_words=False)  # words as Unicode cuts them


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
