"""What a conversation has said, in the forms in which a value is looked for: letters, words, numbers.

`experts.conversation.missing.grounding` asks it whether a call's value was said. Case, accents, punctuation, spaces and
the width of letters do not count. Numbers are found as digits, in whatever script, and as English words.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Final

LEAST: Final = 3
"""Letters of a word that says something by itself."""
ALIKE: Final = 4
"""First letters that two forms of a word share, which serves for a stemmer (`experts.conversation.ranking`)."""
_WORD: Final = re.compile(r"[^\W_]+")
_GRAMMAR: Final = frozenset(_WORD.findall("the and for with from this that your you are not any all new san los las"))
_NUMBER: Final = re.compile(r"\d+(?:[.,]\d+)*|\.\d+")
_ORDINAL: Final = re.compile(r"(?<=\d)(?:st|nd|rd|th)\b")
_UNITS: Final = _WORD.findall(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    " eighteen nineteen"
)
_ORDINALS: Final = _WORD.findall(
    "zeroth first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth"
    " fifteenth sixteenth seventeenth eighteenth nineteenth"
)
_TENS: Final = _WORD.findall("twenty thirty forty fifty sixty seventy eighty ninety")
_NUMBER_WORDS: Final = {
    **{word: float(at) for words in (_UNITS, _ORDINALS) for at, word in enumerate(words)},
    **{word: 10.0 * at for at, word in enumerate(_TENS, 2)},
    **{"half": 0.5, "quarter": 0.25, "once": 1.0, "twice": 2.0, "both": 2.0, "couple": 2.0, "pair": 2.0},
    **{"dozen": 12.0, "hundred": 100.0, "thousand": 1e3, "million": 1e6, "billion": 1e9},
}
_TENS_AND_UNIT: Final = re.compile(rf"\b({'|'.join(_TENS)})[ -]?({'|'.join(_UNITS[1:10] + _ORDINALS[1:10])})\b")


def fold(text: str) -> str:
    """Write a text without case, accents and letters of another width."""
    plain = unicodedata.normalize("NFKD", text).casefold()
    return "".join(char for char in plain if not unicodedata.combining(char))


def words_of(text: str) -> list[str]:
    """Cut a folded text into words and numbers."""
    return _WORD.findall(text)


def tells(word: str) -> bool:
    """Say whether a word is more than grammar."""
    return len(word) >= LEAST and word not in _GRAMMAR


def numbers_of(text: str) -> Iterator[float]:
    """Yield the numbers of a folded text. A mark may part thousands, decimals or numbers: each reading counts."""
    for match in _NUMBER.findall(_ORDINAL.sub("", text)):
        for reading in {match.replace(",", ""), match.replace(".", "").replace(",", "."), *_WORD.findall(match)}:
            parts = [reading] if reading.count(".") < 2 else reading.split(".")  # a version, or a date
            yield from map(float, parts)
    yield from (_NUMBER_WORDS[tens] + _NUMBER_WORDS[unit] for tens, unit in _TENS_AND_UNIT.findall(text))
    yield from (_NUMBER_WORDS[word] for word in words_of(text) if word in _NUMBER_WORDS)


class Said:
    """Texts to be searched; each form is made when it is first asked for."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._texts = tuple(texts)

    @cached_property
    def text(self) -> str:
        """All of it, folded."""
        return fold("\n".join(self._texts))

    @cached_property
    def words(self) -> frozenset[str]:
        """Its words and numbers."""
        return frozenset(words_of(self.text))

    @cached_property
    def letters(self) -> str:
        """Its letters and digits, nothing between them."""
        return "".join(words_of(self.text))

    @cached_property
    def numbers(self) -> frozenset[float]:
        """Its numbers."""
        return frozenset(numbers_of(self.text))

    @cached_property
    def telling(self) -> frozenset[str]:
        """Its words that are more than grammar."""
        return frozenset(filter(tells, self.words))

    @cached_property
    def beginnings(self) -> frozenset[str]:
        """How these words begin."""
        return frozenset(word[:ALIKE] for word in self.telling)
