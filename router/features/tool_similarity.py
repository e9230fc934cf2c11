"""How similar a request and each offered tool are, word by word: late interaction over `word_vectors`.

`tool_fit.fit_features` calls `match`. A request may name a tool by other words ("shut" and `lock_door`). Words of the
request that match no tool say that it wants something else.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Any

import numpy as np

from router.features.hashing import words_of
from router.features.word_vectors import PARTS, shipped_vectors

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
_ANY, _ENGLISH = slice(None, PARTS[0]), slice(PARTS[0], None)
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
class ToolWords:
    """What one tool says of itself: the words of its name, and those of its description."""

    name: list[str]
    description: list[str]


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
    near = np.empty((len(_HOW), len(tools.vectors), len(request.vectors)), dtype=np.float32)
    for at, part in enumerate((_ANY, _ENGLISH)):
        np.matmul(tools.vectors[:, part], request.vectors[:, part].T, out=near[at])
    np.greater(np.maximum(near[0], near[1]), SAME, out=near[2], casting="unsafe")
    best = near.max(axis=2)
    words = [np.add.reduceat(weight * best, tools.starts, axis=1) for weight in (tools.name_weight, tools.weight)]
    share = request.weight / request.weight.sum()
    asked = np.maximum.reduceat(near, tools.starts, axis=1) @ share
    whole = [side[:, part] @ request.pooled[part] for side in (tools.lines, tools.names) for part in (_ANY, _ENGLISH)]
    return np.concatenate([*words, asked, np.stack(whole)]).T


def tool_words(tool_text: str) -> list[ToolWords]:
    """Split `name: description` lines, as `features.tool_text` makes them, into words; names are taken apart."""
    lines = [line for line in tool_text.split("\n")[:MAX_TOOLS] if line.strip()]
    parts = [spaced(line).partition(":") for line in lines]
    return [ToolWords(words_of(name), words_of(description)) for name, _, description in parts]


def read_words(words: Sequence[str], most: int) -> Words | None:
    """Look words up, common ones left out, each once; None where nothing is known."""
    table = shipped_vectors()
    rows = table.rows_of(_telling(words)[:most])
    if not rows:
        return None
    vectors = _vectors(rows)
    weight = table.weight.take(rows)
    return Words(vectors, weight, _unit((weight @ vectors)[None])[0])


def read_tools(offered: Sequence[ToolWords]) -> Tools | None:
    """Look the words of tools up, all at once; those of which no word is known are left out, None without others."""
    table = shipped_vectors()
    names = [table.rows_of(_telling(one.name)[:NAME_WORDS]) for one in offered]
    lines = [table.rows_of(_telling([*one.name, *one.description])[:LINE_WORDS]) for one in offered]
    known = [(name or line, line) for name, line in zip(names, lines, strict=True) if line]
    if not known:
        return None
    sizes = [len(line) for _, line in known]
    starts = np.array([0, *accumulate(sizes[:-1])])
    rows = [row for _, line in known for row in line]
    is_name = np.array([at < len(name) for name, line in known for at in range(len(line))])
    vectors, weight = _vectors(rows), table.weight.take(rows)
    shares = [_share(part, starts, sizes) for part in (weight, weight * is_name)]
    lines_pooled, names_pooled = (_unit(np.add.reduceat(share[:, None] * vectors, starts)) for share in shares)
    return Tools(vectors, shares[0], shares[1], starts, lines_pooled, names_pooled)


def spaced(text: str) -> str:
    """Take names apart: `getWeather_by-city` is four words."""
    return _CAMEL.sub(" ", text).replace("_", " ").lower()


def _telling(words: Sequence[str]) -> list[str]:
    """Leave out common words, single letters and repetitions."""
    return [word for word in dict.fromkeys(words) if len(word) > 1 and word not in COMMON]


def _vectors(rows: Sequence[int]) -> Floats:
    """Read rows of the table, (n, SIZE), each part of length 1 or 0."""
    table = shipped_vectors()
    return _bridged(_unit(table.table.take(rows, axis=0) * table.scale))


def _share(weight: Floats, starts: Ints, sizes: Sequence[int]) -> Floats:
    """Scale weights so that each tool's sum to 1."""
    return np.asarray(weight / np.add.reduceat(weight, starts).repeat(sizes), dtype=np.float32)


def _bridged(vectors: Floats) -> Floats:
    """Give words that the multilingual encoder was not asked about the place the English one's suggests."""
    unknown = ~vectors[:, _ANY].any(axis=1)
    if unknown.any():
        guessed = vectors[unknown, _ENGLISH] @ bridge()
        vectors[unknown, _ANY] = guessed / np.maximum(np.linalg.norm(guessed, axis=1, keepdims=True), 1e-6)
    return vectors


@lru_cache(maxsize=1)
def bridge() -> Floats:
    """Fit the linear map from the English part to the multilingual one on the words that have both (ridge)."""
    table = shipped_vectors()
    both = table.table[:, _ANY].any(axis=1) & table.table[:, _ENGLISH].any(axis=1)
    vectors = _unit(table.table[both].astype(np.float32) * table.scale).astype(np.float64)
    english, any_language = vectors[:, _ENGLISH], vectors[:, _ANY]
    gram = english.T @ english + RIDGE * np.eye(PARTS[1])
    return np.asarray(np.linalg.solve(gram, english.T @ any_language), dtype=np.float32)


def _unit(vectors: Floats) -> Floats:
    """Scale both parts of each vector (n, SIZE) to length 1; zeros stay."""
    length = np.sqrt(np.add.reduceat(vectors * vectors, [0, PARTS[0]], axis=1))
    return np.asarray(vectors / np.maximum(length, 1e-6).repeat(PARTS, axis=1), dtype=np.float32)
