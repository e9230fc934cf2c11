"""How well passages are found: recall and mean reciprocal rank, by each method side by side, over one pool.

Every method sees the same pool in the same store. `hybrid` is what a search does; the others stand beside it: `bm25`
(words alone), `dense` (vectors alone), `late` (what a search of a collection with token vectors does) and `maxsim`
(hybrid's candidates, ranked by late interaction alone, over the encoder's token vectors as they are: Khattab and
Zaharia 2020, https://arxiv.org/abs/2004.12832, without its training).
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from experts.encoders.encoder import Encode, Encoding, Role, Vectors
from experts.evaluation.suites.scores import mean, share
from experts.retrieval.encode import PassageEncoder
from experts.retrieval.late import DIMENSIONS
from experts.retrieval.pool import Pool
from experts.retrieval.search import CANDIDATES, Searcher
from experts.retrieval.spool import Spool
from experts.retrieval.store import About, Change, Store, Vector

COLLECTIONS: Final = ("pool", "late")
"""That the store gets: the second one has token vectors."""
_SLICE: Final = 64  # passages that are encoded together
_PAIRS: Final = (("hybrid", "bm25"), ("hybrid", "dense"), ("late", "bm25"), ("late", "dense"), ("late", "hybrid"))
_CUTS: Final = (1, 5, 10)
_SEED: Final = 7


@dataclass(slots=True)
class Ranks:
    """At which rank each question's passage was found; 0 = not at all.

    Attributes:
        values: by question.
        seconds: what each took, encoder included, where that was measured.
        cpu_seconds: the processor time of that.
    """

    values: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)

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
        for name, took in (("ms", self.seconds), ("cpu_ms", self.cpu_seconds)):
            if took:
                p50, p99 = np.percentile(np.array(took) * 1e3, [50, 99])
                figures[name] = {"p50": round(float(p50), 2), "p99": round(float(p99), 2)}
        return figures

    def within(self, cut: int) -> list[float]:
        """Return 1 for each question whose passage is among the first `cut`, else 0."""
        return [float(1 <= value <= cut) for value in self.values]


def evaluate(
    pool: Pool,
    store: Store,
    encoder: Encode,
    *,
    with_late: bool = True,
    with_maxsim: bool = True,
    progress: Callable[[int, int], None] = lambda done, whole: None,
) -> dict[str, Any]:
    """Measure; the store gets `COLLECTIONS`.

    Args:
        pool: questions and passages.
        store: an empty one.
        encoder: makes the vectors.
        with_late: whether a search with token vectors stands beside.
        with_maxsim: whether late interaction alone does; it encodes the pool once more.
        progress: is told how many passages and questions are done, of how many.

    Raises:
        StoreError: the store cannot be used.
    """
    whole = len(pool.passages) * (1 + with_maxsim) + len(pool.questions)
    _fill(pool, store, encoder, lambda done: progress(done, whole), with_late=with_late)
    asked = _Questions(pool, store, encoder, with_late=with_late)
    for number in range(len(pool.questions)):
        asked.ask(number)
        progress(len(pool.passages) + number, whole)
    ranks = dict(asked.ranks)
    if with_maxsim:
        ranks["maxsim"] = _late(pool, asked, encoder, lambda done: progress(whole - len(pool.passages) + done, whole))
    baselines = {name: found.figures() for name, found in ranks.items() if name != "hybrid"}
    sizes = {"n": len(pool.questions), "passages": len(pool.passages)}
    return {**sizes, **ranks["hybrid"].figures(), "baselines": baselines, "differences": _differences(ranks)}


def _differences(ranks: dict[str, Ranks]) -> dict[str, Any]:
    """Return the differences in recall between methods, question by question, with 95 % intervals (bootstrap)."""
    found: dict[str, Any] = {}
    for one, other in _PAIRS:
        if one in ranks and other in ranks:
            apart = {cut: np.subtract(ranks[one].within(cut), ranks[other].within(cut)).tolist() for cut in _CUTS}
            found[f"{one} - {other}"] = {str(cut): mean(values, _SEED).as_dict() for cut, values in apart.items()}
    return found


def _fill(pool: Pool, store: Store, encoder: Encode, progress: Callable[[int], None], *, with_late: bool) -> None:
    late = min(DIMENSIONS, encoder.dimensions) if with_late else 0
    with tempfile.TemporaryDirectory(prefix="moegate-") as folder:
        spool = Spool(Path(folder), encoder.artifact)
        made = PassageEncoder(encoder, spool, late=late, progress=lambda done, _: progress(done)).encode(pool.passages)
    about = About("", encoder.artifact, encoder.dimensions)
    store.change(COLLECTIONS[0], Change(about, {"pool": "1"}, pool.passages, made.pooled))
    if late:
        change = Change(replace(about, late=late), {"pool": "1"}, pool.passages, made.pooled)
        store.change(COLLECTIONS[1], replace(change, tokens=made.tokens, axes=made.axes))


class _Questions:
    """Asks each question in each way, and keeps what late interaction needs."""

    def __init__(self, pool: Pool, store: Store, encoder: Encode, *, with_late: bool) -> None:
        self._pool = pool
        self._store = store
        self._encoder = encoder
        self._searcher = Searcher(store, encoder.artifact)
        self._with_late = with_late
        self.ranks = {name: Ranks() for name in ("hybrid", "bm25", "dense", *(["late"] if with_late else []))}
        self.candidates: list[tuple[int, ...]] = []
        self.tokens: list[Vectors] = []

    def ask(self, number: int) -> None:
        question, gold = self._pool.questions[number]
        found, encoding = self._searched("hybrid", COLLECTIONS[0], question, CANDIDATES)
        vector: Vector = encoding.pooled[0]
        words = self._store.by_words(COLLECTIONS[0], question, CANDIDATES)
        meaning = self._store.by_meaning(COLLECTIONS[0], vector, CANDIDATES)
        orders = {
            "hybrid": found,
            "bm25": [hit.passage.id for hit in words],
            "dense": [hit.passage.id for hit in meaning],
        }
        if self._with_late:
            orders["late"], _ = self._searched("late", COLLECTIONS[1], question, _CUTS[-1])
        for name, ids in orders.items():
            self.ranks[name].values.append(ids.index(str(gold)) + 1 if str(gold) in ids else 0)
        self.candidates.append(tuple({int(hit.passage.id) for hit in (*words, *meaning)}))
        self.tokens.append(encoding.tokens[0])

    def _searched(self, name: str, collection: str, question: str, k: int) -> tuple[list[str], Encoding]:
        """Search as the encoder's application does, and note how long it took."""
        began, began_cpu = time.perf_counter(), time.process_time()
        encoding = self._encoder.encode([question], Role.QUERY, with_tokens=True, truncate=True)
        found = self._searcher.search([collection], question, encoding.pooled[0], k, encoding.tokens[0])
        self.ranks[name].seconds.append(time.perf_counter() - began)
        self.ranks[name].cpu_seconds.append(time.process_time() - began_cpu)
        return [ranked.passage.id for ranked in found.passages], encoding


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
