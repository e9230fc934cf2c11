"""Text to terms: words cut to their stems, and the character n-grams inside them.

`index` reads tools with it, `question` requests. Names are taken apart first: `getWeather_byCity` is four words.
"""

import re
from functools import lru_cache
from typing import Final

from router.features.hashing import words_of
from router.features.tool_similarity import COMMON
from router.features.window import normalise

GRAM: Final = 4
MAX_CHARS: Final = 6_000  # of one text; what is longer is cut
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_WORD: Final = re.compile(r"[^\W_]+")
_SHORT: Final = frozenset(words_of("a an am as at be by do he i if in is it me my no of on or so to up us we"))
_ENDINGS: Final = ("ations", "ation", "ings", "ing", "ies", "ers", "ed", "er", "es", "s", "e", "y")
_SHORTEST_STEM: Final = 3


def taken_apart(text: str) -> str:
    """Put spaces between the words of names."""
    return _CAMEL.sub(" ", text[:MAX_CHARS]).replace("_", " ")


def spaced(text: str) -> str:
    """Take names apart and fold the letters."""
    return normalise(taken_apart(text))


def words(folded: str) -> list[str]:
    """Split text that `spaced` has folded into words, common ones left out."""
    return [word for word in _WORD.findall(folded) if word not in COMMON and word not in _SHORT]


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """Cut an English ending off: "bookings" and "book" are one. Other languages lose little by it."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _SHORTEST_STEM:
            return word[: -len(ending)]
    return word


def grams(word: str) -> list[str]:
    """List the n-grams of a word with its edges, marked so that none equals a stem."""
    edged = f" {word} "
    return [f"\0{edged[at : at + GRAM]}" for at in range(max(1, len(edged) - GRAM + 1))]
