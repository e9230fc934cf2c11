"""Says whether a call's value rests on what a conversation says, or on nothing.

No model: letters, words, numbers, days and hours are compared. The check errs towards "said", because a right call that
becomes a question costs more than an invented value that passes: one word in common is enough, and what looks like a
code or a composed text is never doubted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from experts.conversation.missing.said import ALIKE, LEAST, Said, fold, numbers_of, tells, words_of
from experts.conversation.missing.times import CLOCK, DAY, names_day, names_hour

_ENGLISH: Final = frozenset(
    words_of(
        "the and my your you please what where when which who how would could should need with from this that these"
        " those have has want looking find get give tell show book make for it is are do does can will like"
    )
)
_ENGLISH_SHARE: Final = 0.12  # of a text's words
_COMPOSED: Final = 7  # words of a text that a model writes, rather than copies
_MOST_NUMBERS: Final = 200  # said: beyond it one of them would fit anything
_NUMERIC: Final = re.compile(r"\s*[-+]?[\d.,]*\d\s*%?\s*")
_CODE: Final = re.compile(r"[\^=*/\\<>{}_@#]|\A[A-Z0-9]{1,6}\Z|\A.{1,2}\Z", re.DOTALL)
_SCALES: Final = (*(10.0**power for power in range(-12, 13)), 7.0, 12.0, 24.0, 30.0, 52.0, 60.0, 365.0, 3600.0, 86400.0)


def is_english(said: Said) -> bool:
    """Say whether texts are evidently English, by their smallest words."""
    words = words_of(said.text)
    return sum(word in _ENGLISH for word in words) >= max(1, _ENGLISH_SHARE * len(words))


def is_free(schema: object) -> bool:
    """Say whether a value is the user's to say: the schema names none, and is no boolean's."""
    if not isinstance(schema, Mapping):
        return True
    if schema.keys() & {"enum", "const", "default"} or schema.get("type") in ("boolean", "null"):
        return False
    return all(is_free(part) for key in ("anyOf", "oneOf", "allOf") for part in _list(schema.get(key)))


def is_said(value: object, said: Said) -> bool:
    """Say whether a value may come from what was said; of lists and objects any part is enough."""
    match value:
        case bool() | None:
            return True
        case int() | float():
            return _is_number_said(float(str(value)), said)  # one beyond what a float holds is infinite
        case str():
            return _is_text_said(value, said)
        case list() | dict():
            parts: Sequence[Any] = list(value.values()) if isinstance(value, dict) else value
            return not parts or any(is_said(part, said) for part in parts)
        case _:
            return True


def _is_number_said(value: float, said: Said) -> bool:
    """Say whether a number was said, be it in another unit: 5 % is 0.05, and half an hour is 30."""
    value = abs(value)
    if value in (0.0, 1.0) or not math.isfinite(value) or len(said.numbers) > _MOST_NUMBERS:
        return True  # "a table", "from rest"
    return any(
        math.isclose(value, scaled, rel_tol=1e-6)
        for number in said.numbers
        for scale in _SCALES
        for scaled in (number * scale, number / scale)
    )


def _is_text_said(value: str, said: Said) -> bool:
    """Say whether a text was said, in the same words or in one of them; the first rule that knows its kind decides."""
    folded = fold(value).strip()
    words = words_of(folded)
    if not words:
        return bool(value.strip())  # a sign, such as "+"; an empty text is no value
    if _NUMERIC.fullmatch(folded):
        return any(_is_number_said(number, said) for number in numbers_of(folded))
    if _stands(folded, "".join(words), said):
        return True
    if DAY.search(folded):
        return names_day(said, folded)
    if CLOCK.search(folded):
        return names_hour(said, folded)
    return len(words) >= _COMPOSED or _CODE.search(value) is not None or any(_likenesses(words, said))


def _stands(folded: str, letters: str, said: Said) -> bool:
    """Say whether a text stands there to the letter; a short one has to be whole words."""
    if letters not in said.letters:
        return False
    is_long = len(letters) > LEAST or not letters.isascii()
    return is_long or re.search(rf"(?<!\w){re.escape(folded)}(?!\w)", said.text) is not None


def _likenesses(words: Sequence[str], said: Said) -> Iterator[bool]:
    """Yield whether each word was said, and whether all were by their first letters: "nyc" is New York City."""
    yield from (_is_word_said(word, said) for word in words)
    initials, letters = "".join(word[0] for word in words), "".join(word for word in words if len(word) == 1)
    yield len(letters) > 1 and letters in said.words  # Washington D.C.
    yield len(initials) > 1 and any(word.startswith(initials) and len(word) <= len(initials) + 1 for word in said.words)


def _is_word_said(word: str, said: Said) -> bool:
    """Say whether a word was said in any form that begins alike: "comedies", "Philly", "Feb"."""
    if word.isdecimal():
        return _is_number_said(float(word), said)
    if not word.isascii() and word in said.letters:
        return True
    if not tells(word):
        return False
    if word[:ALIKE] in said.beginnings:
        return True
    return any(word.startswith(other) or other.startswith(word) for other in said.telling)


def _list(parts: object) -> Iterable[object]:
    return parts if isinstance(parts, list) else ()
