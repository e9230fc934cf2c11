"""How alike a request and each of many tools are: the numbers that the selector weighs."""

from typing import Final

import numpy as np

from router.features.word_vectors import PARTS
from router.tools.index import FIELDS, NAME, Floats, ToolIndex, product, weighted
from router.tools.question import Question

FIRST: Final = np.array([2.0, 1.0, 0.6, 0.5, 0.8, 0.5], dtype=np.float32)  # of the fields, before anything is learned
LIKENESS: Final = (
    *(f"{field}: beside the best tool" for field in FIELDS),
    *(f"{field}: beside the best tool, in the best part" for field in FIELDS),
    "share of the name in the request",
    "all fields: beside the best tool",
    "all fields: place",
    "all fields: place in the best part",
    "meaning: any language",
    "meaning: English",
    "meaning: beside the best tool",
    "meaning: beside the best tool, in the best part",
    "meaning of the name's words",
    "meaning of the name's words: beside the best tool",
    "meaning beside the best tool's",
    "needs a value that is not there",
    "needs a value that is there",
)
_TINY: Final = np.float32(1e-6)


def likeness(question: Question, index: ToolIndex) -> Floats:
    """Compare a request with each tool, (T, len(LIKENESS))."""
    scores = _scores(question, index) * question.weights[:, None, None]  # (parts, fields, T)
    whole = scores.sum(axis=0)
    first = np.einsum("f,pft->pt", FIRST, scores)
    total = first.sum(axis=0)
    best = np.maximum(whole.max(axis=1, keepdims=True), _TINY)
    parts = scores / np.maximum(scores.max(axis=2, keepdims=True), _TINY) * question.weights[:, None, None]
    near = [
        *(whole / best),
        *parts.max(axis=0),
        np.minimum(1.0, whole[NAME] / index.name_total),
        total / max(_TINY, total.max()),
        places(total[None]),
        places(first),
        *_meaning(question, index),
        weighted(index.pooled, index.pooled[int(total.argmax())]) / 2,
        *_values(question, index),
    ]
    return np.stack(near, axis=1).astype(np.float32, copy=False)


def _scores(question: Question, index: ToolIndex) -> Floats:
    """Add up BM25 by part, field and tool, (parts, fields, T)."""
    cells, count = len(FIELDS) * index.size, len(question.parts)
    found = [[row for term in terms if (row := index.terms.get(term)) is not None] for terms in question.parts]
    rows = np.array([row for one in found for row in one], dtype=np.int64)
    part_of = np.repeat(np.arange(count), [len(one) for one in found])
    begin = index.starts[rows]
    held = index.starts[rows + 1] - begin
    ends = np.cumsum(held)
    posting = np.arange(held.sum()) + np.repeat(begin - ends + held, held)
    cell = index.columns[posting] + np.repeat(part_of * cells, held)
    summed = np.bincount(cell, index.weights[posting], minlength=count * cells)
    return summed.reshape(count, len(FIELDS), index.size).astype(np.float32)


def places(scores: Floats) -> Floats:
    """Say where each tool stands by its best row of (n, T): 1 first, 1/2 second, ..., 0 without any score, (T,)."""
    order = np.argsort(-scores, axis=1, kind="stable")
    found = np.empty(scores.shape, dtype=np.float32)
    np.put_along_axis(found, order, 1.0 / np.arange(1, scores.shape[1] + 1, dtype=np.float32)[None], axis=1)
    found[scores <= 0] = 0.0
    return np.asarray(found.max(axis=0), dtype=np.float32)


def _meaning(question: Question, index: ToolIndex) -> list[Floats]:
    """Compare meanings: as a whole in both encoders' vectors, beside the best tool, and of the name word by word."""
    any_language = product(index.pooled[:, : PARTS[0]], question.vectors[:, : PARTS[0]].T)  # (T, 1 + parts)
    english = product(index.pooled[:, PARTS[0] :], question.vectors[:, PARTS[0] :].T)
    both = (any_language + english) / 2
    beside = both - both.max(axis=0, keepdims=True)
    near = product(index.name_vectors, question.spoken.T).max(axis=1) / 2
    named = np.add.reduceat(near[index.name_words] * index.name_share, index.name_starts)
    in_part = beside[:, 1:].max(axis=1)
    return [any_language[:, 0], english[:, 0], beside[:, 0], in_part, named, named - named.max()]


def _values(question: Question, index: ToolIndex) -> list[Floats]:
    """Say whether required values are there."""
    there = weighted(index.needs, question.kinds)
    return [np.minimum(1.0, index.needs.sum(axis=1) - there), np.minimum(1.0, there)]
