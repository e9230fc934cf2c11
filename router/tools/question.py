"""A request as the selector reads it: the newest user turn part by part, and what was said before it.

A request for several things ("find a flight, then tell Anna") is cut at the ends of sentences and clauses, because each
part has a best tool of its own.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from router.features.word_vectors import SIZE, shipped_vectors
from router.tools.index import Floats, pool, unit, vectors_of
from router.tools.terms import grams, spaced, stem, words

MAX_PARTS: Final = 8
HEAD_CHARS, TAIL_CHARS = 1_500, 900  # of the newest turn
BEFORE_CHARS: Final = 500  # of what was said before
MAX_WORDS: Final = 24  # whose meaning is compared with names, word by word
BEFORE_WEIGHT: Final = 0.5  # of what was said before
_SHORTEST_PART: Final = 2  # words
_CLAUSE: Final = re.compile(r"(?<=[.!?;。！？；])\s*|\n+|,\s+|\s+(?:and|then|also|und|et|y|e|и)\s+")
_SIGNS: Final = (
    re.compile(r"\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|half|double)\b"),
    re.compile(
        r"\d{4}|\d[:/.]\d|\b(?:today|tomorrow|tonight|yesterday|morning|evening|noon|week|month|year|date|monday|tuesday"
        r"|wednesday|thursday|friday|saturday|sunday|january|february|march|april|may|june|july|august|september"
        r"|october|november|december|am|pm|o'clock)\b"
    ),
    re.compile(r"@|https?:|www\.|\.com\b"),
)


@dataclass(frozen=True, slots=True)
class Question:
    """A request.

    Attributes:
        parts: terms of each part, the newest turn's first; each term once.
        weights: how much each part counts, (parts,); what was said before counts less.
        vectors: mean of each part's words, (1 + parts, SIZE); first of all.
        spoken: vectors of its words that say most, (n, SIZE).
        kinds: whether a value of each of `index.KINDS` is in it, (len(index.KINDS),).
    """

    parts: Sequence[Sequence[str]]
    weights: Floats
    vectors: Floats
    spoken: Floats
    kinds: Floats


def read_question(newest: str, before: str = "") -> Question:
    """Read a request.

    Args:
        newest: the newest user turn, as typed.
        before: what was said before it, newest last.
    """
    if len(newest) > HEAD_CHARS + TAIL_CHARS:
        newest = f"{newest[:HEAD_CHARS]}\n{newest[-TAIL_CHARS:]}"
    clauses = [words(spaced(clause)) for clause in _CLAUSE.split(newest)]
    own = _parts([clause for clause in clauses if clause])
    earlier = words(spaced(before[-BEFORE_CHARS:]))
    parts = [*own, earlier] if earlier else own
    weights = [1.0] * len(own) + [BEFORE_WEIGHT] * bool(earlier)
    vectors = np.stack([pool(part) for part in parts])
    whole = unit((np.array([[w * len(p)] for w, p in zip(weights, parts, strict=True)]) * vectors).sum(axis=0)[None])
    folded = newest.lower()
    return Question(
        [list(dict.fromkeys([*map(stem, part), *(gram for word in part for gram in grams(word))])) for part in parts],
        np.array(weights, dtype=np.float32),
        np.concatenate([whole, vectors]).astype(np.float32),
        _spoken([word for part in parts for word in part]),
        np.array([float(sign.search(folded) is not None) for sign in _SIGNS], dtype=np.float32),
    )


def _parts(clauses: Sequence[list[str]]) -> list[list[str]]:
    """Put clauses that are too short, or too many, together with the one before."""
    parts: list[list[str]] = []
    for clause in clauses:
        if parts and (len(clause) < _SHORTEST_PART or len(parts[-1]) < _SHORTEST_PART):
            parts[-1] = parts[-1] + clause
        else:
            parts.append(clause)
    while len(parts) > MAX_PARTS:
        parts = [[word for part in parts[at : at + 2] for word in part] for at in range(0, len(parts), 2)]
    return parts or [[]]


def _spoken(said: Sequence[str]) -> Floats:
    """Look up the words that say most."""
    table = shipped_vectors()
    rows = table.rows_of(said)
    kept = sorted(rows, key=lambda row: -float(table.weight[row]))[:MAX_WORDS]
    return vectors_of(kept) if kept else np.zeros((1, SIZE), dtype=np.float32)
