"""Personal data: e-mail addresses, telephones, cards, accounts, national identifiers, network addresses."""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from serve.steps.guard.detectors import identifiers
from serve.steps.guard.detectors.words import word_start
from serve.steps.guard.finding import Finding

_EMAIL: Final = re.compile(
    r"(?<![\w.+%-])[\w.+%-]{1,64}@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}[^\W\d_]{2,24}(?![\w-])"
)
_DIGIT: Final = re.compile(r"\d")
_HINT: Final = re.compile(r"[\d@]|::")
_LONG_NUMBER: Final = re.compile(r"\d(?:[ ().\-/]{0,3}\d){3}|[\da-fA-F]:[\da-fA-F]*:")
_LONGEST_RUN: Final = 160  # characters of groups that may still be one number


def emails(text: str) -> Iterator[Finding]:
    """E-mail addresses, as people write them (a subset of RFC 5322, section 3.4.1)."""
    at = text.find("@")
    while at >= 0:
        start = at
        while start > 0 and at - start < 64 and (text[start - 1].isalnum() or text[start - 1] in "_.+%-"):
            start -= 1
        match = _EMAIL.match(text, start)
        if match is not None:
            yield Finding("EMAIL", *match.span())
        at = text.find("@", at + 1)


ENTITIES: Final[dict[str, Callable[[str], Iterable[Finding]]]] = {
    "email": emails,
    "card": identifiers.cards,
    "iban": identifiers.ibans,
    "ip": identifiers.addresses,
    "national_id": identifiers.national_ids,
    "phone": identifiers.phones,
}
"""By the name that a rule uses. A span of an earlier entity is not looked at by a later one."""


class PersonalData:
    """Finds the entities that it is told to."""

    hint = _HINT

    def __init__(self, entities: Iterable[str]) -> None:
        wanted = set(entities)
        self._has_emails = "email" in wanted
        self._numbers = [find for name, find in ENTITIES.items() if name in wanted and name != "email"]

    def find(self, text: str) -> list[Finding]:
        """Return what the text holds; spans do not overlap."""
        found = list(emails(text)) if self._has_emails and "@" in text else []
        if self._numbers and _LONG_NUMBER.search(text):
            for find in self._numbers:
                found += [one for one in find(text) if not any(_overlap(one, other) for other in found)]
        return found

    def open_from(self, text: str) -> int:
        """The last word, and the groups before it that may be parts of one number."""
        start = word_start(text, len(text))
        while self._numbers and start > 0 and len(text) - start < _LONGEST_RUN:
            end = start
            while end > 0 and start - end < 3 and text[end - 1].isspace():
                end -= 1
            before = word_start(text, end)
            group = text[before:end]
            if not (_DIGIT.search(group) or (2 <= len(group) <= 4 and group.isalnum() and group.isupper())):
                break
            start = before
        return start


def _overlap(one: Finding, other: Finding) -> bool:
    return one.start < other.end and other.start < one.end
