"""Do the offered tools fit the words? A few numbers that compare the request with the tools.

`gate.Gate` and the trainer call `fit_features` for requests that carry tools; a small logistic head over these, the
words and the structure answers with a probability. Capped like everything else here.
"""

import math
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from router.conversation import Thread
from router.hashing import words_of
from router.lexicon import shipped_lexicon
from router.meaning import PARTS, SCALE, shipped_vectors

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
    "best tool: alike in meaning, any language",
    "best tool: alike in meaning, English",
    "best tool name: alike in meaning, any language",
    "best tool name: alike in meaning, English",
)
REQUEST_CHARS = 600
REQUEST_WORDS = 80
MAX_TOOLS = 40
STEM = 5  # two words are one if their first letters are: "bookings" and "book_table"
SHORTEST = 3

_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_COMMON = frozenset(
    words_of(
        "the and for you are with that this from have what how can could would please will your about into not but was"
        " get set all any one out our who when where which why there their them then than has had its use used using"
        " given based return returns specified provided need want like make give tell show list value values user"
    )
)

Floats = np.ndarray[Any, np.dtype[np.float32]]


def fit_features(text: str, tool_text: str, thread: Thread, leaning: float) -> Floats:
    """Compare a request with the tools; (F,) float32 in `FIT_NAMES`' order, each about 0..1.

    Args:
        text: the words asked with, lower case: the newest user turn, and the one before if it leans on it.
        tool_text: `name: description` lines, as `features.tool_text` makes them.
        thread: the conversation.
        leaning: how much the newest turn leans on the one before, in [0, 1].
    """
    said = words_of(text[:REQUEST_CHARS])[:REQUEST_WORDS]
    request = _stems(said)
    lines = [line for line in tool_text.split("\n")[:MAX_TOOLS] if line.strip()]
    tools = [_tool(line) for line in lines]
    best = max(((request & words) for _, words in tools), key=len, default=set())
    holder = next((words for _, words in tools if best and best <= words), set())
    union = set().union(*(words for _, words in tools)) if tools else set()
    named = max((len(request & name) / len(name) for name, _ in tools if name), default=0.0)
    concepts = _concepts(text[:REQUEST_CHARS]) & _concepts(_spaced(tool_text))
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
            *_alike(said, lines),
        ],
        dtype=np.float32,
    )


def _alike(said: Sequence[str], lines: Sequence[str]) -> list[float]:
    """Compare the request's meaning with each tool's, and with its name's: the best cosines, part by part."""
    if not lines:
        return [0.0] * (2 * len(PARTS))
    asked = shipped_vectors().pool(said) / SCALE
    split = PARTS[0]
    found = []
    for whole in (True, False):
        offered = np.stack([_meaning_of(line if whole else line.partition(":")[0]) for line in lines])
        found += [
            min(1.0, float((offered[:, :split] @ asked[:split]).max())),
            min(1.0, float((offered[:, split:] @ asked[split:]).max())),
        ]
    return found


@lru_cache(maxsize=2_048)
def _meaning_of(line: str) -> Floats:
    """Pool the words of a tool's line, parts of length 1; remembered, since callers offer the same tools again."""
    return np.asarray(shipped_vectors().pool(words_of(_spaced(line))) / SCALE, dtype=np.float32)


def opinions(logits: np.ndarray[Any, Any]) -> Floats:
    """Squeeze what the text heads say (log-odds, before calibration) into about -2..2: sure words need no tool."""
    return np.asarray(np.clip(logits / 4.0, -2.0, 2.0), dtype=np.float32)


def _tool(line: str) -> tuple[set[str], set[str]]:
    """Split one tool's line into the stems of its name, and of all its words."""
    name, _, description = _spaced(line).partition(":")
    named = _stems(words_of(name))
    return named, named | _stems(words_of(description))


def _spaced(text: str) -> str:
    """Take names apart: `getWeather_by-city` is four words."""
    return _CAMEL.sub(" ", text).replace("_", " ").lower()


def _stems(words: Sequence[str]) -> set[str]:
    """Cut words to their first letters, leaving out the shortest and the commonest."""
    return {word[:STEM] for word in words if len(word) >= SHORTEST and word not in _COMMON}


def _concepts(text: str) -> set[str]:
    """Name the concepts of a text."""
    return set(shipped_lexicon().concepts(words_of(text)[:REQUEST_WORDS]))
