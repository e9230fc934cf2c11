"""One search: a question and its vector in, the best passages of some collections out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from experts.encoders.encoder import Vectors
from experts.retrieval.late import nearness
from experts.retrieval.rank import Ranked, closer, fuse
from experts.retrieval.store import About, CollectionBroken, Hit, Store, Vector

CANDIDATES: Final = 50
"""That each of the two searches brings from each collection; more when more passages are wanted."""


RERANKED: Final = 32
"""That are put in a new order by their tokens, where a collection has token vectors; more when more are wanted."""


@dataclass(frozen=True, slots=True)
class Searched:
    """What a search has found, and its times in seconds.

    Attributes:
        passages: best first.
        words_s: spent on the word search; likewise `meaning_s` and `rank_s`.
    """

    passages: tuple[Ranked, ...]
    words_s: float
    meaning_s: float
    rank_s: float


class Searcher:
    """Searches a store with one encoder's vectors; blocks, and several threads may call at once."""

    def __init__(self, store: Store, artifact: str, *, clock: Callable[[], float] = time.perf_counter) -> None:
        """`artifact` is the content hash of the encoder that makes the questions' vectors."""
        self._store = store
        self._artifact = artifact
        self._clock = clock

    def search(
        self, collections: Sequence[str], question: str, vector: Vector, k: int, tokens: Vectors | None = None
    ) -> Searched:
        """Find the `k` best passages.

        Args:
            collections: where.
            question: its words.
            vector: its vector.
            k: how many are wanted.
            tokens: the question's token vectors, (tokens, dimensions); None: no late interaction.

        Raises:
            CollectionMissing: one of the collections is not there.
            CollectionBroken: one was made by another encoder.
            StoreError: the store cannot be used.
        """
        late = []
        for collection in collections:
            about = self._store.about(collection)
            check_encoder(collection, about, self._artifact)
            late += [collection] if about.late else []
        most = max(CANDIDATES, k)
        began = self._clock()
        by_words = self._each(collections, lambda collection: self._store.by_words(collection, question, most))
        words_at = self._clock()
        by_meaning = self._each(collections, lambda collection: self._store.by_meaning(collection, vector, most))
        meaning_at = self._clock()
        if tokens is None or not late:
            passages = tuple(fuse(vector, by_words, by_meaning, k))
        else:
            ranked = fuse(vector, by_words, by_meaning, max(RERANKED, k))
            passages = tuple(closer(ranked, self._nearness(late, ranked, tokens))[:k])
        return Searched(passages, words_at - began, meaning_at - words_at, self._clock() - meaning_at)

    def _nearness(self, collections: Sequence[str], ranked: Sequence[Ranked], tokens: Vectors) -> list[float | None]:
        """Return how near each passage is by its tokens; None where its collection has none, or it has just gone."""
        near: dict[tuple[str, str], float] = {}
        for collection in collections:
            ids = [one.passage.id for one in ranked if one.collection == collection]
            axes = self._store.axes(collection) if ids else None
            if axes is None:
                continue
            packs = self._store.tokens(collection, ids)
            if packs:
                values = nearness(tokens @ axes, list(packs.values()))
                near |= {(collection, key): float(value) for key, value in zip(packs, values, strict=True)}
        return [near.get((one.collection, one.passage.id)) for one in ranked]

    def _each(self, collections: Sequence[str], find: Callable[[str], list[Hit]]) -> list[tuple[str, Hit]]:
        return [(collection, hit) for collection in collections for hit in find(collection)]


def check_encoder(collection: str, about: About, artifact: str) -> None:
    """See that a collection's vectors can be compared with an encoder's.

    Raises:
        CollectionBroken: another encoder has made them.
    """
    if about.artifact != artifact:
        raise CollectionBroken(f"the collection {collection!r} was made by another encoder, {about.encoder}")
