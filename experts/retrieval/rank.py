"""Puts what two searches have found into one order.

Words and meaning err differently: BM25 knows names and numbers, vectors know paraphrases. Every candidate has a cosine;
one that the word search has not found has a BM25 score of 0. Both are brought to mean 0 and deviation 1 over the
candidates and added, which lets the measure count that tells them apart for this query, and leaves no weight to tune.
docs/results.md compares it with sums of ranks and with weighted sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from experts.retrieval.store import Hit, Passage, Vector

Scores = npt.NDArray[np.float64]

_TWO_MEASURES: Final = 1.5
"""What a fused score weighs beside nearness by tokens, for it holds two measures."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """A passage in its place.

    Attributes:
        collection: where it was found.
        passage: which.
        score: by which it stands there; of one query's passages only.
        words: its BM25 score; 0 where the words were not found.
        meaning: its cosine.
    """

    collection: str
    passage: Passage
    score: float
    words: float
    meaning: float


def fuse(
    query: Vector, by_words: Sequence[tuple[str, Hit]], by_meaning: Sequence[tuple[str, Hit]], k: int
) -> list[Ranked]:
    """Rank candidates, best first.

    Args:
        query: its vector.
        by_words: what the word search has found, each with its collection.
        by_meaning: what the vectors have found.
        k: how many are wanted; a text that was found twice counts once.
    """
    found = {(where, hit.passage.id): hit for where, hit in (*by_meaning, *by_words)}
    if not found:
        return []
    known = {(where, hit.passage.id): hit.score for where, hit in by_words}
    words: Scores = np.array([known.get(key, 0.0) for key in found])
    meaning: Scores = (np.stack([hit.vector for hit in found.values()]) @ query).astype(np.float64)
    scores = _even(words) + _even(meaning)
    order = np.lexsort((-meaning, -scores))
    ranked: list[Ranked] = []
    seen: set[str] = set()
    keys = list(found)
    for place in order:
        where, hit = keys[place][0], found[keys[place]]
        if len(ranked) < k and hit.passage.text not in seen:
            seen.add(hit.passage.text)
            measures = (float(scores[place]), float(words[place]), float(meaning[place]))
            ranked.append(Ranked(where, hit.passage, *measures))
    return ranked


def closer(ranked: Sequence[Ranked], nearness: Sequence[float | None]) -> list[Ranked]:
    """Put passages in a new order, by their scores and their nearness by tokens (`experts.retrieval.late`) together.

    Args:
        ranked: best first.
        nearness: of each; None where its collection has no token vectors, which counts as the mean.
    """
    if not ranked:
        return []
    known = [value for value in nearness if value is not None]
    middle = sum(known) / len(known) if known else 0.0
    near: Scores = np.array([middle if value is None else value for value in nearness])
    scores = _TWO_MEASURES * _even(np.array([one.score for one in ranked])) + _even(near)
    return [replace(ranked[place], score=float(scores[place])) for place in np.argsort(-scores, kind="stable")]


def _even(scores: Scores) -> Scores:
    deviation = float(scores.std())
    return (scores - float(scores.mean())) / deviation if deviation > 0 else np.zeros_like(scores)
