"""Says whether a value can be what a parameter is for, where a model fills it with whatever was said.

A model that lacks a city writes the day into it, or the one city that was said twice, or "movie" as what to look for in
`find_movies`. These are asked for like values that nobody said (`experts.conversation.missing.finder`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from experts.conversation.missing.said import Said, fold, words_of
from experts.conversation.missing.times import is_day, is_hour, is_time_alone

_PART: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\W\d_a-zA-Z]+")
_PLACES: Final = frozenset(("city", "location", "origin", "destination", "place", "country", "town", "venue"))
_EMPTY: Final = frozenset(("my", "the", "some", "any"))
_SYMBOL: Final = re.compile(r"[^\w\s]|[\d_]")


def name_words(name: str) -> list[str]:
    """Cut a name into small words: `departureDate` and `departure_date` are `departure`, `date`."""
    return [part.lower() for part in _PART.findall(name)]


def is_apt(tool: str, parameter: str, value: object) -> bool:
    """Say whether a value can be a parameter's: no hour as a day, no day as a place, not the tool's own word."""
    if not isinstance(value, str):
        return True
    folded = fold(value).strip()
    kinds = name_words(parameter)
    if ("date" in kinds and is_hour(folded)) or ("time" in kinds and is_day(folded)):
        return False
    words = words_of(folded)
    if words and not _PLACES.isdisjoint(kinds) and (is_day(folded) or is_hour(folded) or is_time_alone(words)):
        return False
    own = _singular(words)
    return (
        _SYMBOL.search(folded) is not None
        or not own
        or not (own <= _singular(name_words(tool)) or own == _singular(kinds))
    )


def _singular(words: Iterable[str]) -> set[str]:
    """Leave out what says nothing, and the plural."""
    return {word.removesuffix("s") for word in words if word not in _EMPTY}


def twins(values: Mapping[str, object], said: Said) -> list[str]:
    """Name the parameters that share one text, where fewer of it were said than there are of them."""
    texts = {name: "".join(words_of(fold(value))) for name, value in values.items() if isinstance(value, str)}
    counts = Counter(text for text in texts.values() if text and not text.isdecimal())
    surplus = {text for text, count in counts.items() if count > 1 and said.letters.count(text) < count}
    return [name for name, text in texts.items() if text in surplus]
