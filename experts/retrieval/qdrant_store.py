"""Collections in Qdrant: a server, or a folder for one process (its client's local mode). https://qdrant.tech/documentation/.

Qdrant has no transactions, so a change is made visible by one write: every point says with which generation of its
collection it came and went, and the collection's row in `CATALOGUE` says which generation counts. A run that dies
before that row is written leaves points that nobody reads, which the next run removes. Points that went are kept for
one generation more, for those who read it still.

The word search is Qdrant's sparse vectors: BM25's term frequencies are computed here
(`experts.retrieval.sparse_words`), the rarity of words there.
"""

from __future__ import annotations

import base64
import json
import os
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, Final

import numpy as np
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import ApiException

from experts.retrieval.late import Tokens
from experts.retrieval.sparse_words import Stem, counted, stem_of, weighted
from experts.retrieval.store import (
    NAME,
    About,
    Change,
    CollectionBroken,
    CollectionMissing,
    Hit,
    Passage,
    StoreError,
    Vector,
    check_name,
    made_otherwise,
)

CATALOGUE: Final = "moegate.collections"
API_KEY: Final = "MOEGATE_QDRANT_API_KEY"
"""The environment variable that holds the server's key, where it asks for one."""
_PREFIX: Final = "moegate."
_FOREVER: Final = 2**31
_BATCH: Final = 128
_TIMEOUT_S: Final = 30
_SPACE: Final = uuid.UUID("6b1d0f3a-6d2c-4f0e-9d5e-3f1d3c8f6a11")  # of our points' ids
_TEXTS: Final = ("key", "file", "title", "place", "text")


class QdrantStore:
    """The store; one object may be used by several threads."""

    def __init__(self, place: str) -> None:
        """`place` is a server's `http(s)://...`, or a folder, which is made and belongs to this process alone.

        Raises:
            StoreError: it cannot be opened.
        """
        with _failures_told():
            if place.startswith(("http://", "https://")):
                key = os.environ.get(API_KEY)
                self._client = QdrantClient(url=place, api_key=key, timeout=_TIMEOUT_S, check_compatibility=False)
                self._lock: Any = None
            else:
                self._client = QdrantClient(path=place)
                self._lock = threading.RLock()  # the local mode knows one thread at a time
            with self._alone():
                if not self._client.collection_exists(CATALOGUE):
                    self._client.create_collection(CATALOGUE, vectors_config={})

    def names(self) -> tuple[str, ...]:
        """Name the collections."""
        with self._alone():
            return tuple(sorted(str(row["name"]) for row in self._scroll(CATALOGUE, None, ["name"])))

    def about(self, collection: str) -> About:
        """Tell of a collection."""
        return self._row(collection)[0]

    def files(self, collection: str) -> dict[str, str]:
        """Return the hash of each file that a collection holds."""
        with self._alone():
            try:
                _, generation = self._row(collection)
            except CollectionMissing:
                return {}
            rows = self._scroll(_PREFIX + collection, _alive(generation), ["file", "hash"])
            return {str(row["file"]): str(row["hash"]) for row in rows}

    def count(self, collection: str) -> int:
        """Count a collection's passages."""
        with self._alone():
            _, generation = self._row(collection)
            return int(self._client.count(_PREFIX + collection, count_filter=_alive(generation), exact=True).count)

    def change(self, collection: str, change: Change) -> None:
        """Take a change up: write its points, mark what goes, and then let the new generation count."""
        check_name(collection)
        name = _PREFIX + collection
        with self._alone():
            generation = self._prepared(collection, change.about)
            if change.replaced:
                going = models.FieldCondition(key="file", match=models.MatchAny(any=sorted(change.replaced)))
                here = _alive(generation).must
                self._client.set_payload(
                    name, {"died": generation + 1}, points=models.Filter(must=[going, *_listed(here)]), wait=True
                )
            stem = stem_of(change.about.language)
            for start in range(0, len(change.passages), _BATCH):
                rows = range(start, min(start + _BATCH, len(change.passages)))
                points = [_point(change, row, generation + 1, stem) for row in rows]
                self._client.upsert(name, points, wait=True)
            axes = self.axes(collection) if generation else change.axes
            self._commit(collection, change.about, generation + 1, axes)

    def by_words(self, collection: str, query: str, k: int) -> list[Hit]:
        """Find by BM25."""
        with self._alone():
            about, generation = self._row(collection)
            counts = counted(query, stem_of(about.language))
            if not counts:
                return []
            wanted = models.SparseVector(indices=list(counts), values=[1.0] * len(counts))
            return [hit for hit in self._found(collection, wanted, "words", generation, k) if hit.score > 0]

    def by_meaning(self, collection: str, query: Vector, k: int) -> list[Hit]:
        """Find by the vectors' product."""
        with self._alone():
            _, generation = self._row(collection)
            return self._found(collection, query.tolist(), "meaning", generation, k)

    def axes(self, collection: str) -> Vector | None:
        """Return the axes of a collection's token vectors."""
        about, _ = self._row(collection)
        with self._alone():
            [row] = self._client.retrieve(CATALOGUE, [_id(collection)], with_payload=["axes"])
        raw = (row.payload or {}).get("axes")
        return np.frombuffer(base64.b64decode(raw), "<f2").astype(np.float32).reshape(-1, about.late) if raw else None

    def tokens(self, collection: str, ids: Sequence[str]) -> dict[str, Tokens]:
        """Return the token vectors of passages."""
        with self._alone():
            about, generation = self._row(collection)
            wanted = models.FieldCondition(key="key", match=models.MatchAny(any=list(ids)))
            alive = models.Filter(must=[wanted, *_listed(_alive(generation).must)])
            rows = list(self._scroll(_PREFIX + collection, alive, ["key", "tokens"]))
        packs = (np.frombuffer(base64.b64decode(row["tokens"]), np.int8).reshape(-1, about.late) for row in rows)
        return dict(zip((str(row["key"]) for row in rows), packs, strict=True))

    def drop(self, collection: str) -> None:
        """Remove a collection."""
        with self._alone():
            self._row(collection)
            self._client.delete(CATALOGUE, [_id(collection)], wait=True)
            self._client.delete_collection(_PREFIX + collection)

    def close(self) -> None:
        """Let go of the connection, or of the folder."""
        self._client.close()

    def _prepared(self, collection: str, about: About) -> int:
        """Return the generation that counts, with nothing beside it that an interrupted run has left.

        Raises:
            CollectionBroken: the collection's vectors are of another encoder.
        """
        name = _PREFIX + collection
        try:
            there, generation = self._row(collection)
        except CollectionMissing:
            if self._client.collection_exists(name):
                self._client.delete_collection(name)
            self._client.create_collection(
                name,
                vectors_config={"meaning": models.VectorParams(size=about.dimensions, distance=models.Distance.DOT)},
                sparse_vectors_config={"words": models.SparseVectorParams(modifier=models.Modifier.IDF)},
            )
            return 0
        if there != about:
            raise made_otherwise(collection)
        undone = models.FieldCondition(key="born", range=models.Range(gt=generation))
        gone = models.FieldCondition(key="died", range=models.Range(lte=generation))
        for condition in (undone, gone):
            self._client.delete(name, models.FilterSelector(filter=models.Filter(must=[condition])), wait=True)
        marked = models.FieldCondition(key="died", range=models.Range(gt=generation, lt=_FOREVER))
        self._client.set_payload(name, {"died": _FOREVER}, points=models.Filter(must=[marked]), wait=True)
        return generation

    def _commit(self, collection: str, about: About, generation: int, axes: Vector | None) -> None:
        row = {"name": collection, "about": json.dumps(asdict(about)), "generation": generation}
        if axes is not None:
            row["axes"] = base64.b64encode(axes.astype("<f2").tobytes()).decode()
        self._client.upsert(CATALOGUE, [models.PointStruct(id=_id(collection), vector={}, payload=row)], wait=True)

    def _row(self, collection: str) -> tuple[About, int]:
        """Read what the catalogue says of a collection.

        Raises:
            CollectionMissing: it has none of that name.
            CollectionBroken: it cannot be read.
        """
        rows: Sequence[Any] = ()
        if NAME.fullmatch(collection):
            with self._alone():
                rows = self._client.retrieve(CATALOGUE, [_id(collection)], with_payload=["about", "generation"])
        if not rows:
            raise CollectionMissing(f"there is no collection {collection!r}")
        row = rows[0].payload or {}
        try:
            return About(**json.loads(row["about"])), int(row["generation"])
        except (KeyError, ValueError, TypeError):
            raise CollectionBroken(f"the collection {collection!r} is not one of this version's") from None

    def _found(self, collection: str, query: Any, using: str, generation: int, k: int) -> list[Hit]:  # noqa: ANN401
        answer = self._client.query_points(
            _PREFIX + collection,
            query=query,
            using=using,
            query_filter=_alive(generation),
            limit=k,
            with_payload=list(_TEXTS),
            with_vectors=["meaning"],
        )
        return [_hit(point) for point in answer.points]

    def _scroll(self, name: str, wanted: Any, fields: list[str]) -> Iterator[Mapping[str, Any]]:  # noqa: ANN401
        offset = None
        while True:
            points, offset = self._client.scroll(
                name, scroll_filter=wanted, limit=1000, offset=offset, with_payload=fields
            )
            yield from (point.payload or {} for point in points)
            if offset is None:
                return

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Tell failures in our words; in the local mode, keep other threads away."""
        with _failures_told():
            if self._lock is None:
                yield
            else:
                with self._lock:
                    yield


@contextmanager
def _failures_told() -> Iterator[None]:
    """Turn the library's failures into ours; their texts hold addresses, and stay in the chain."""
    try:
        yield
    except StoreError:
        raise
    except (ApiException, RuntimeError, OSError, ValueError) as error:
        raise StoreError(f"the store failed: {type(error).__name__}") from error


def _alive(generation: int) -> models.Filter:
    """Select the points of a generation."""
    born = models.FieldCondition(key="born", range=models.Range(lte=generation))
    died = models.FieldCondition(key="died", range=models.Range(gt=generation))
    return models.Filter(must=[born, died])


def _listed(conditions: Any) -> list[Any]:  # noqa: ANN401  # one condition, several, or none
    return conditions if isinstance(conditions, list) else [conditions]


def _id(*names: object) -> str:
    return str(uuid.uuid5(_SPACE, "\0".join(map(str, names))))


def _point(change: Change, row: int, born: int, stem: Stem) -> models.PointStruct:
    passage = change.passages[row]
    counts = counted(passage.words, stem)
    payload = dict(zip(_TEXTS, (passage.id, passage.file, passage.title, passage.place, passage.text), strict=True))
    words = models.SparseVector(indices=list(counts), values=weighted(counts))
    late = {"tokens": base64.b64encode(change.tokens[row].tobytes()).decode()} if change.about.late else {}
    return models.PointStruct(
        id=_id(passage.id, born),
        vector={"meaning": change.vectors[row].tolist(), "words": words},
        payload={**payload, **late, "hash": change.files[passage.file], "born": born, "died": _FOREVER},
    )


def _hit(point: Any) -> Hit:  # noqa: ANN401  # one of two classes of the library
    key, file, title, place, text = (str(point.payload[name]) for name in _TEXTS)
    vector = np.asarray(point.vector["meaning"], np.float32)
    return Hit(Passage(key, file, title, place, text), vector, float(point.score))
