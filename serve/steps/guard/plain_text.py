"""A text as a reader sees it: what is invisible is gone, what looks like a Latin letter is one.

`plain` maps each character on its own, so a text and its pieces have the same plain form, however they are cut.

Sources: Unicode normalisation (https://www.unicode.org/reports/tr15/), compatibility decomposition; Unicode security
mechanisms (https://www.unicode.org/reports/tr39/), from which the look-alikes are a selection.
"""

import unicodedata
from bisect import bisect_right
from typing import Final

_LOOK_ALIKES: Final = dict(
    zip(
        "АВЕЅІЈКМНОРСТХУаеорсухіјѕԁһԛԝΑΒΕΖΗΙΚΜΝΟΡΤΥΧονѵɡıℓ‐‑‒–—−‘’‚“”„＇",
        "ABESIJKMHOPCTXYaeopcyxijsdhqwABEZHIKMNOPTYXovvgil------'''\"\"\"'",
        strict=True,
    )
)
_COMBINING: Final = range(0x0300, 0x0370)
_SELECTORS: Final = range(0xFE00, 0xFE10)
_TAGS: Final = range(0xE0000, 0xE0080)


class _Table(dict[int, str]):
    """What each character becomes, worked out when it is first seen."""

    def __missing__(self, code: int) -> str:
        self[code] = made = _plain_character(chr(code))
        return made


def _plain_character(character: str) -> str:
    code = ord(character)
    if character in _LOOK_ALIKES:
        return _LOOK_ALIKES[character]
    if code in _SELECTORS or code in _TAGS or unicodedata.category(character) == "Cf":
        return ""
    parts = [part for part in unicodedata.normalize("NFKD", character) if ord(part) not in _COMBINING]
    return "".join(_LOOK_ALIKES.get(part, part) for part in parts)


_TABLE: Final = _Table()


def plain(text: str) -> str:
    """Return the text's plain form; ASCII stays as it is."""
    return text if text.isascii() else text.translate(_TABLE)


class Places:
    """Where in a text the characters of its plain form came from."""

    def __init__(self, text: str) -> None:
        """Take the text itself, not its plain form."""
        self._ends: list[int] | None = None
        if not text.isascii():
            ends, end = [], 0
            for character in text:
                end += len(_TABLE[ord(character)])
                ends.append(end)
            self._ends = ends

    def original(self, start: int, end: int) -> tuple[int, int]:
        """Return the span of the text whose plain form is, or holds, `plain(text)[start:end]`."""
        if self._ends is None:
            return start, end
        return bisect_right(self._ends, start), bisect_right(self._ends, end - 1) + 1
