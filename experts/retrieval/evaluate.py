"""How well passages are found: recall and mean reciprocal rank, by each method side by side, over one pool.

Every method sees the same pool in the same store. `hybrid` is what a search does; the others stand beside it: `bm25`
(words alone), `dense` (vectors alone), `maxsim` (hybrid's candidates, ranked by late interaction over the encoder's
token vectors as they are: Khattab and Zaharia 2020, https://arxiv.org/abs/2004.12832, without its training).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from experts.encoders.encoder import Encode, Role, Vectors
from experts.evaluation.suites.scores import mean, share
from experts.retrieval.pool import Pool
from experts.retrieval.search import CANDIDATES, Searcher
from experts.retrieval.store import About, Change, Store, Vector

_COLLECTION: Final = "pool"
_SLICE: Final = 64  # passages that are encoded together
_CUTS: Final = (1, 5, 10)
_SEED: Final = 7


@dataclass(slots=True)
class Ranks:
    """At which rank each question's passage was found; 0 = not at all.

    Attributes:
        values: by question.
        seconds: what each took, encoder included, where that was measured.
    """

    values: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def figures(self) -> dict[str, Any]:
        """Return recall with 95 % intervals (Wilson), and the mean reciprocal rank (bootstrap)."""
        n = len(self.values)
        scores = {str(cut): share(sum(1 <= value <= cut for value in self.values), n) for cut in _CUTS}
        reciprocal = mean([1 / value if value else 0.0 for value in self.values], _SEED)
        figures: dict[str, Any] = {
            "recall": {cut: round(score.value, 4) for cut, score in scores.items()},
            "recall_ci95": {cut: score.as_dict()["ci95"] for cut, score in scores.items()},
            "mrr": round(reciprocal.value, 4),
            "mrr_ci95": reciprocal.as_dict()["ci95"],
        }
        if self.seconds:
            p50, p99 = np.percentile(np.array(self.seconds) * 1e3, [50, 99])
            figures["ms"] = {"p50": round(float(p50), 2), "p99": round(float(p99), 2)}
        return figures


def evaluate(
    pool: Pool,
    store: Store,
    encoder: Encode,
    *,
    with_maxsim: bool = True,
    progress: Callable[[int, int], None] = lambda done, whole: None,
) -> dict[str, Any]:
    """Measure; the store gets one collection, `pool`.

    Args:
        pool: questions and passages.
        store: an empty one.
        encoder: makes the vectors.
        with_maxsim: whether late interaction stands beside; it encodes the pool once more.
        progress: is told how many passages and questions are done, of how many.

    Raises:
        StoreError: the store cannot be used.
    """
    whole = len(pool.passages) * (1 + with_maxsim) + len(pool.questions)
    _fill(pool, store, encoder, lambda done: progress(done, whole))
    asked = _Questions(pool, store, encoder)
    for number in range(len(pool.questions)):
        asked.ask(number)
        progress(len(pool.passages) + number, whole)
    ranks = dict(asked.ranks)
    if with_maxsim:
        ranks["maxsim"] = _late(pool, asked, encoder, lambda done: progress(whole - len(pool.passages) + done, whole))
    baselines = {name: found.figures() for name, found in ranks.items() if name != "hybrid"}
    sizes = {"n": len(pool.questions), "passages": len(pool.passages)}
    return {**sizes, **ranks["hybrid"].figures(), "baselines": baselines}


def _fill(pool: Pool, store: Store, encoder: Encode, progress: Callable[[int], None]) -> None:
    vectors = []
    for start in range(0, len(pool.passages), _SLICE):
        texts = [passage.words for passage in pool.passages[start : start + _SLICE]]
        vectors.append(encoder.encode(texts, Role.PASSAGE, truncate=True).pooled)
        progress(start + len(texts))
    about = About("", encoder.artifact, encoder.dimensions)
    store.change(_COLLECTION, Change(about, {"pool": "1"}, pool.passages, np.concatenate(vectors)))


class _Questions:
    """Asks each question in each way, and keeps what late interaction needs."""

    def __init__(self, pool: Pool, store: Store, encoder: Encode) -> None:
        self._pool = pool
        self._store = store
        self._encoder = encoder
        self._searcher = Searcher(store, encoder.artifact)
        self.ranks = {name: Ranks() for name in ("hybrid", "bm25", "dense")}
        self.candidates: list[tuple[int, ...]] = []
        self.tokens: list[Vectors] = []

    def ask(self, number: int) -> None:
        question, gold = self._pool.questions[number]
        began = time.perf_counter()
        encoding = self._encoder.encode([question], Role.QUERY, with_tokens=True, truncate=True)
        vector: Vector = encoding.pooled[0]
        found = self._searcher.search([_COLLECTION], question, vector, CANDIDATES).passages
        self.ranks["hybrid"].seconds.append(time.perf_counter() - began)
        words = self._store.by_words(_COLLECTION, question, CANDIDATES)
        meaning = self._store.by_meaning(_COLLECTION, vector, CANDIDATES)
        for name, ids in (
            ("hybrid", [ranked.passage.id for ranked in found]),
            ("bm25", [hit.passage.id for hit in words]),
            ("dense", [hit.passage.id for hit in meaning]),
        ):
            self.ranks[name].values.append(ids.index(str(gold)) + 1 if str(gold) in ids else 0)
        self.candidates.append(tuple({int(hit.passage.id) for hit in (*words, *meaning)}))
        self.tokens.append(encoding.tokens[0])


def _late(pool: Pool, asked: _Questions, encoder: Encode, progress: Callable[[int], None]) -> Ranks:
    """Rank each question's candidates by the mean, over its tokens, of the best cosine with any token of a passage."""
    wanted: dict[int, list[int]] = {}
    for number, candidates in enumerate(asked.candidates):
        for place in candidates:
            wanted.setdefault(place, []).append(number)
    scores: list[dict[int, float]] = [{} for _ in pool.questions]
    for start in range(0, len(pool.passages), _SLICE):
        texts = [passage.words for passage in pool.passages[start : start + _SLICE]]
        tokens = encoder.encode(texts, Role.PASSAGE, with_tokens=True, truncate=True).tokens
        for place, vectors in enumerate(tokens, start):
            for number in wanted.get(place, ()):
                scores[number][place] = float((asked.tokens[number] @ vectors.T).max(axis=1).mean())
        progress(start + len(texts))
    ranks = [_rank(gold, found) for (_, gold), found in zip(pool.questions, scores, strict=True)]
    return Ranks(ranks)


def _rank(gold: int, scores: dict[int, float]) -> int:
    if gold not in scores:
        return 0
    return 1 + sum(score > scores[gold] for place, score in scores.items() if place != gold)
