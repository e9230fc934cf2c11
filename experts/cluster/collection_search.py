"""Answers `Search` out of a store: what the encoder's application runs beside the encoder."""

from __future__ import annotations

import logging

from experts.encoders.encoder import NoCollection, StoreFailed, Vectors
from experts.engines.failures import describe_failure
from experts.retrieval.rank import Ranked
from experts.retrieval.search import Searcher
from experts.retrieval.store import CollectionMissing, StoreError
from experts.retrieval.stores import open_store
from protos import encoder_pb2

_log = logging.getLogger("moegate.collections")


class CollectionSearch:
    """One replica's searcher. A store that is away when the replica starts is opened at a search: embeddings go on."""

    def __init__(self, address: str, artifact: str) -> None:
        """`artifact` is the content hash of the encoder beside it."""
        self._address = address
        self._artifact = artifact
        self._searcher: Searcher | None = None
        try:
            self._open()
        except StoreError as error:
            _log.warning("there are no collections yet: %s", describe_failure(error))

    def __call__(self, request: encoder_pb2.SearchRequest, vector: Vectors) -> encoder_pb2.SearchResponse:
        """Search; blocks.

        Raises:
            NoCollection: there is none of that name.
            StoreFailed: the store cannot be used, or the collection is another encoder's.
        """
        try:
            found = self._open().search(request.collections, request.question, vector, request.top_k)
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

    def _open(self) -> Searcher:
        if self._searcher is None:
            self._searcher = Searcher(open_store(self._address), self._artifact)
        return self._searcher


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
