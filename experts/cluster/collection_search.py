"""Answers `Search` and `Collections` out of a store: what the encoder's application runs beside the encoder."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress

from experts.encoders.encoder import Encoding, NoCollection, StoreFailed
from experts.engines.failures import describe_failure
from experts.retrieval.rank import Ranked
from experts.retrieval.search import Searcher
from experts.retrieval.store import CollectionBroken, CollectionMissing, Store, StoreError
from experts.retrieval.stores import open_store
from protos import encoder_pb2

_log = logging.getLogger("moegate.collections")


class CollectionSearch:
    """One replica's searcher. A store that is away when the replica starts is opened at a search: embeddings go on."""

    def __init__(self, address: str, artifact: str) -> None:
        """`artifact` is the content hash of the encoder beside it."""
        self._address = address
        self._artifact = artifact
        self._store: Store | None = None
        self._searcher: Searcher | None = None
        try:
            self._open()
        except StoreError as error:
            _log.warning("there are no collections yet: %s", describe_failure(error))

    def __call__(self, request: encoder_pb2.SearchRequest, question: Encoding) -> encoder_pb2.SearchResponse:
        """Search; blocks.

        Raises:
            NoCollection: there is none of that name.
            StoreFailed: the store cannot be used, or the collection is another encoder's.
        """
        try:
            found = self._open().search(
                request.collections, request.question, question.pooled[0], request.top_k, question.tokens[0]
            )
        except CollectionMissing:
            raise NoCollection("there is no such collection") from None
        except StoreError as error:
            _log.error("a search failed: %s", describe_failure(error))
            raise StoreFailed("the collections cannot be searched") from None
        return encoder_pb2.SearchResponse(
            passages=[_passage(ranked) for ranked in found.passages],
            words_s=found.words_s,
            meaning_s=found.meaning_s,
            rank_s=found.rank_s,
        )

    def collections(self, names: Sequence[str]) -> encoder_pb2.CollectionsResponse:
        """List the collections, or those of these names; blocks.

        Raises:
            StoreFailed: the store cannot be used.
        """
        found = encoder_pb2.CollectionsResponse()
        try:
            store = self._opened_store()
            for name in sorted(set(store.names()) & set(names or store.names())):
                with suppress(CollectionMissing, CollectionBroken):  # dropped just now, or a table of somebody else's
                    about = store.about(name)
                    sizes = {"files": len(store.files(name)), "passages": store.count(name)}
                    found.collections.add(name=name, encoder=about.encoder, **sizes)
        except StoreError as error:
            _log.error("collections cannot be listed: %s", describe_failure(error))
            raise StoreFailed("the collections cannot be read") from None
        return found

    def _open(self) -> Searcher:
        if self._searcher is None:
            self._searcher = Searcher(self._opened_store(), self._artifact)
        return self._searcher

    def _opened_store(self) -> Store:
        if self._store is None:
            self._store = open_store(self._address)
        return self._store


def _passage(ranked: Ranked) -> encoder_pb2.Passage:
    passage = ranked.passage
    return encoder_pb2.Passage(
        collection=ranked.collection,
        file=passage.file,
        title=passage.title,
        place=passage.place,
        text=passage.text,
        score=ranked.score,
        words=ranked.words,
        meaning=ranked.meaning,
    )
