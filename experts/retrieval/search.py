"""One search: a question and its vector in, the best passages of some collections out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from experts.retrieval.rank import Ranked, fuse
from experts.retrieval.store import About, CollectionBroken, Hit, Store, Vector

CANDIDATES: Final = 50
"""That each of the two searches brings from each collection; more when more passages are wanted."""


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

    def search(self, collections: Sequence[str], question: str, vector: Vector, k: int) -> Searched:
        """Find the `k` best passages.

        Raises:
            CollectionMissing: one of the collections is not there.
            CollectionBroken: one was made by another encoder.
            StoreError: the store cannot be used.
        """
        for collection in collections:
            check_encoder(collection, self._store.about(collection), self._artifact)
        most = max(CANDIDATES, k)
        began = self._clock()
        by_words = self._each(collections, lambda collection: self._store.by_words(collection, question, most))
        words_at = self._clock()
        by_meaning = self._each(collections, lambda collection: self._store.by_meaning(collection, vector, most))
        meaning_at = self._clock()
        passages = tuple(fuse(vector, by_words, by_meaning, k))
        return Searched(passages, words_at - began, meaning_at - words_at, self._clock() - meaning_at)

    def _each(self, collections: Sequence[str], find: Callable[[str], list[Hit]]) -> list[tuple[str, Hit]]:
        return [(collection, hit) for collection in collections for hit in find(collection)]


def check_encoder(collection: str, about: About, artifact: str) -> None:
    """See that a collection's vectors can be compared with an encoder's.

    Raises:
        CollectionBroken: another encoder has made them.
    """
    if about.artifact != artifact:
        raise CollectionBroken(f"the collection {collection!r} was made by another encoder, {about.encoder}")
