"""Do the offered tools fit the words? A few numbers that compare the request with the tools.

`gate.Gate` and the trainer call `fit_features` for requests that carry tools; a small logistic head over these, the
words and the structure answers with a probability. Capped like everything else here.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from router.features.conversation import Thread
from router.features.hashing import words_of
from router.features.lexicon import shipped_lexicon
from router.features.tool_similarity import (
    COMMON,
    MATCH_NAMES,
    Tools,
    match,
    read_tools,
    read_words,
    spaced,
    tool_words,
)
from router.features.window import normalise

FIT_NAMES = (
    "best tool: share of its words in the request",
    "best tool: share of the request's words in it",
    "best tool: words in common",
    "request's words in any tool",
    "concepts in common",
    "best tool name: share of it in the request",
    "no overlap at all",
    "no overlap, not ASCII",
    "tools used in the turn before",
    "leans on the turn before",
    "leans and tools were used",
    "number of tools",
    "short request",
    "numbers in the request",
    "names in the request",
    "quotations in the request",
    "length of the request",
    *(f"best tool, {name}" for name in MATCH_NAMES),
    *(f"highest of all tools, {name}" for name in MATCH_NAMES),
    "best tool: how alike in all",
    "best tool: ahead of the next",
    "one tool",
    "tools: how alike on average",
)
REQUEST_CHARS = 600
REQUEST_WORDS = 60
MAX_TOOLS = 40
STEM = 5  # two words are one if their first letters are: "bookings" and "book_table"
SHORTEST = 3
_NAME = re.compile(r"(?<=[\w,] )[A-ZÀ-ÖØ-ÞΑ-ΩА-Я]\w+")  # a capital inside a sentence
_QUOTED = re.compile(r'["“«][^"”»\n]{1,60}["”»]')

Floats = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True, slots=True)
class Offer:
    """Some tools, read.

    Attributes:
        tools: of each the stems of its name, and of all its words.
        concepts: of all of them.
        meaning: their words' vectors; None where none is known.
    """

    tools: list[tuple[set[str], set[str]]]
    concepts: set[str]
    meaning: Tools | None


def fit_features(text: str, tool_text: str, thread: Thread, leaning: float) -> Floats:
    """Compare a request with the tools; (F,) float32 in `FIT_NAMES`' order, each about 0..1.

    Args:
        text: the words asked with, as typed: the newest user turn, and the one before if it leans on it.
        tool_text: `name: description` lines, as `features.tool_text` makes them.
        thread: the conversation.
        leaning: how much the newest turn leans on the one before, in [0, 1].
    """
    folded = normalise(text)
    said = words_of(folded[:REQUEST_CHARS])[:REQUEST_WORDS]
    request = _stems(said)
    offer = _read(tool_text)
    tools = offer.tools
    best = max(((request & words) for _, words in tools), key=len, default=set())
    holder = next((words for _, words in tools if best and best <= words), set())
    union = set().union(*(words for _, words in tools)) if tools else set()
    named = max((len(request & name) / len(name) for name, _ in tools if name), default=0.0)
    concepts = _concepts(folded[:REQUEST_CHARS]) & offer.concepts
    used = float(thread.used_tools)
    nothing = float(not (request & union) and not concepts)
    return np.array(
        [
            len(best) / max(1, len(holder)),
            len(best) / max(1, len(request)),
            min(1.0, len(best) / 4),
            len(request & union) / max(1, len(request)),
            min(1.0, len(concepts) / 2),
            named,
            nothing,
            nothing * float(not text.isascii()),
            used,
            leaning,
            leaning * used,
            min(1.0, math.log1p(len(tools)) / 3),
            float(len(request) <= SHORTEST),
            min(1.0, said.count("0") / 4),  # `words_of` makes every number one 0
            min(1.0, len(_NAME.findall(text)) / 4),
            min(1.0, len(_QUOTED.findall(text)) / 2),
            min(1.0, len(text) / REQUEST_CHARS),
            *_alike(said, offer),
        ],
        dtype=np.float32,
    )


def _alike(said: Sequence[str], offer: Offer) -> list[float]:
    """Compare the words' meanings: the best tool's likeness, the highest of each kind, and how far it stands out."""
    request = read_words(said, REQUEST_WORDS)
    if request is None or offer.meaning is None:
        return [0.0] * (2 * len(MATCH_NAMES) + 4)
    found = match(request, offer.meaning)
    score = found.mean(axis=1)
    best = int(score.argmax())
    ahead = float(score[best] - np.delete(score, best).max()) if len(score) > 1 else 0.0
    rest = [float(score[best]), ahead, float(len(offer.tools) == 1), float(score.mean())]
    numbers = np.concatenate([found[best], found.max(axis=0), rest])
    return np.minimum(np.maximum(numbers, -1.0), 1.0).tolist()  # type: ignore[no-any-return]  # numpy says Any


def opinions(logits: np.ndarray[Any, Any]) -> Floats:
    """Squeeze what the network says (log-odds, before calibration) into about -2..2: sure words need no tool."""
    return np.asarray(np.clip(logits / 4.0, -2.0, 2.0), dtype=np.float32)


@lru_cache(maxsize=128)
def _read(tool_text: str) -> Offer:
    """Read `name: description` lines; remembered, since callers offer the same tools again and again."""
    offered = tool_words(tool_text)
    names = [_stems(one.name) for one in offered]
    stems = [(name, name | _stems(one.description)) for name, one in zip(names, offered, strict=True)]
    return Offer(stems, _concepts(spaced(tool_text)), read_tools(offered))


def _stems(words: Sequence[str]) -> set[str]:
    """Cut words to their first letters, leaving out the shortest and the commonest."""
    return {word[:STEM] for word in words if len(word) >= SHORTEST and word not in COMMON}


def _concepts(text: str) -> set[str]:
    """Name the concepts of a text."""
    return set(shipped_lexicon().concepts(words_of(text)[:REQUEST_WORDS]))
