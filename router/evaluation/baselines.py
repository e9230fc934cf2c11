"""Baselines that the learned router must beat.

`evaluate` shows them beside the router in its table. `random`, `majority`, `keywords` and `length` need no training;
`TfidfBaseline` is the textbook classifier and needs rows and scikit-learn.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from router.features.featurize import RouteQuery, window_of
from router.model.gate import TOOL_CALLER
from router.policy.keywords import rule_of
from router.training.dataset import Row

Choose = Callable[[RouteQuery], str]


def random_choice(experts: Sequence[str], seed: int) -> Choose:
    """Draw an expert for each query, by `seed`."""
    generator = np.random.default_rng(seed)
    return lambda query: experts[int(generator.integers(len(experts)))]


def majority(rows: Sequence[Row]) -> Choose:
    """Always answer with the most frequent label of `rows`; on the evaluated rows themselves this is its best case."""
    best = Counter(row.labels[0] for row in rows).most_common(1)[0][0]
    return lambda query: best


def keywords(query: RouteQuery) -> str:
    """Apply the rules that people write first, as `router.kind: keywords` does."""
    return rule_of(query).expert


def prompt_length(query: RouteQuery) -> str:
    """Guess from the length alone: short is a question, middling a task, long is code."""
    if query.has_tools:
        return TOOL_CALLER
    length = window_of(query).length
    return "researcher" if length < 90 else "generalist" if length < 400 else "coder"


@dataclass(frozen=True, slots=True)
class TfidfBaseline:
    """Word 1-2-gram TF-IDF and logistic regression, with the rule that tools mean the tool-caller."""

    pipeline: Any  # a fitted scikit-learn pipeline, which ships no types

    @classmethod
    def fit(cls, rows: Sequence[Row], seed: int) -> "TfidfBaseline":
        """Train on the best label of each row that is no tool request."""
        from sklearn.feature_extraction.text import TfidfVectorizer  # noqa: PLC0415 - training only
        from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - training only
        from sklearn.pipeline import make_pipeline  # noqa: PLC0415 - training only

        worded = [row for row in rows if TOOL_CALLER not in row.labels]
        vectorise = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, max_features=200_000)
        pipeline = make_pipeline(vectorise, LogisticRegression(C=4.0, max_iter=300, random_state=seed))
        pipeline.fit([window_of(row.query).raw for row in worded], [row.labels[0] for row in worded])
        return cls(pipeline)

    def __call__(self, query: RouteQuery) -> str:
        """Choose for one query."""
        return TOOL_CALLER if query.has_tools else str(self.pipeline.predict([window_of(query).raw])[0])


def accuracy_by_source(choose: Choose, rows: Sequence[Row]) -> dict[str, float]:
    """Score a chooser: the share of each source's rows for which its choice is among the labels."""
    hits: dict[str, list[bool]] = {}
    for row in rows:
        hits.setdefault(row.source, []).append(choose(row.query) in row.labels)
    return {source: sum(found) / len(found) for source, found in sorted(hits.items())}
