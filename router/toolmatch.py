"""How alike a request and each offered tool are, word by word: late interaction over `meaning`'s word vectors.

`toolfit.fit_features` calls `match`. A tool's name may be in the request by other words ("shut" and `lock_door`), and
what the request holds beyond any tool's words says that it wants something else. Tools are read once: callers offer
the same ones again and again.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from router.hashing import words_of
from router.meaning import PARTS, SIZE, shipped_vectors

_HOW = ("any language", "English", "same word")
MATCH_NAMES = (
    *(f"words of {side}: {how}" for side in ("name in request", "tool in request", "request in tool") for how in _HOW),
    *(f"{side} as a whole: {how}" for side in ("tool", "name") for how in _HOW[:2]),
)
MAX_TOOLS = 40
NAME_WORDS, LINE_WORDS = 8, 28
RIDGE = 3.0
SAME = 0.75  # cosine from which two words count as the same

_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
COMMON = frozenset(
    words_of(
        "the and for you are with that this from have what how can could would please will your about into not but was"
        " get set all any one out our who when where which why there their them then than has had its use used using"
        " given based return returns specified provided need want like make give tell show list value values user"
    )
)

Floats = np.ndarray[Any, np.dtype[np.float32]]
Ints = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True, slots=True)
class Words:
    """Some words' vectors.

    Attributes:
        vectors: (n, SIZE), each part of length 1 or 0.
        weight: how much each says, (n,).
        pooled: their weighted mean, (SIZE,), each part of length 1 or 0.
    """

    vectors: Floats
    weight: Floats
    pooled: Floats


@dataclass(frozen=True, slots=True)
class Tools:
    """Offered tools, T of them, read.

    Attributes:
        vectors: of all their words, (n, SIZE), tool after tool, the name's words first.
        weight: of each word within its tool, (n,): a tool's sum to 1.
        name_weight: the same of names alone, 0 for other words.
        starts: where each tool begins, (T,).
        lines, names: pooled, (T, SIZE).
    """

    vectors: Floats
    weight: Floats
    name_weight: Floats
    starts: Ints
    lines: Floats
    names: Floats


def match(request: Words, tools: Tools) -> Floats:
    """Compare a request with each tool, (T, M) in `MATCH_NAMES`' order."""
    part = PARTS[0]
    near = [tools.vectors[:, at] @ request.vectors[:, at].T for at in (slice(None, part), slice(part, None))]
    same = (np.maximum(*near) > SAME).astype(np.float32)
    found = []
    for weight in (tools.name_weight, tools.weight):
        found += [np.add.reduceat(weight * one.max(axis=1), tools.starts) for one in (*near, same)]
    share = request.weight / request.weight.sum()
    found += [np.maximum.reduceat(one, tools.starts, axis=0) @ share for one in (*near, same)]
    for pooled in (tools.lines, tools.names):
        found += [pooled[:, :part] @ request.pooled[:part], pooled[:, part:] @ request.pooled[part:]]
    return np.stack(found, axis=1).astype(np.float32)


def read_words(words: Sequence[str], most: int) -> Words | None:
    """Look words up, common ones left out, each once; None where nothing is known."""
    kept = [word for word in dict.fromkeys(words) if len(word) > 1 and word not in COMMON][:most]
    table = shipped_vectors()
    rows = table.rows_of(kept)
    if not rows:
        return None
    vectors = _bridged(_unit(table.table[rows].astype(np.float32) * table.scale))
    weight = table.weight[rows]
    return Words(vectors, weight, _unit((weight @ vectors)[None])[0])


@lru_cache(maxsize=256)
def read_tools(text: str) -> Tools | None:
    """Read `name: description` lines, as `features.tool_text` makes them; None where no word of any is known."""
    lines = [line for line in text.split("\n")[:MAX_TOOLS] if line.strip()]
    read = [(_line(line.partition(":")[0], NAME_WORDS), _line(line, LINE_WORDS)) for line in lines]
    known = [(name or whole, whole) for name, whole in read if whole is not None]
    if not known:
        return None
    shares = [whole.weight / whole.weight.sum() for _, whole in known]
    return Tools(
        np.concatenate([whole.vectors for _, whole in known]),
        np.concatenate(shares),
        np.concatenate([_head(share, len(name.weight)) for share, (name, _) in zip(shares, known, strict=True)]),
        np.cumsum([0, *(len(share) for share in shares[:-1])]),
        np.stack([whole.pooled for _, whole in known]),
        np.stack([name.pooled for name, _ in known]),
    )


def spaced(text: str) -> str:
    """Take names apart: `getWeather_by-city` is four words."""
    return _CAMEL.sub(" ", text).replace("_", " ").lower()


def _line(text: str, most: int) -> Words | None:
    """Look the words of a name, or of a whole line, up."""
    return read_words(words_of(spaced(text)), most)


def _head(share: Floats, count: int) -> Floats:
    """Keep the first `count` shares, so that they sum to 1, and make the others 0."""
    kept = np.where(np.arange(len(share)) < count, share, 0.0)
    return np.asarray(kept / kept.sum(), dtype=np.float32)


def _bridged(vectors: Floats) -> Floats:
    """Give words that the multilingual encoder was not asked about the place the English one's suggests."""
    part = PARTS[0]
    unknown = ~vectors[:, :part].any(axis=1)
    vectors[unknown, :part] = _unit_rows(vectors[unknown, part:] @ bridge())
    return vectors


@lru_cache(maxsize=1)
def bridge() -> Floats:
    """Fit the linear map from the English part to the multilingual one on the words that have both (ridge)."""
    table, part = shipped_vectors(), PARTS[0]
    both = table.table[:, :part].any(axis=1) & table.table[:, part:].any(axis=1)
    vectors = _unit(table.table[both].astype(np.float32) * table.scale).astype(np.float64)
    english, any_language = vectors[:, part:], vectors[:, :part]
    gram = english.T @ english + RIDGE * np.eye(SIZE - part)
    return np.asarray(np.linalg.solve(gram, english.T @ any_language), dtype=np.float32)


def _unit(vectors: Floats) -> Floats:
    """Scale both parts of each vector (n, SIZE) to length 1; zeros stay."""
    return np.concatenate([_unit_rows(part) for part in np.split(vectors, [PARTS[0]], axis=1)], axis=1)


def _unit_rows(vectors: Floats) -> Floats:
    """Scale each row to length 1; zeros stay."""
    length = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
    return np.asarray(vectors / np.maximum(length, 1e-6)[:, None], dtype=np.float32)
