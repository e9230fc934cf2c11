"""Numbers of cards, accounts and telephones, national identifiers, and network addresses."""

import ipaddress
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from serve.steps.guard.detectors import checksums
from serve.steps.guard.detectors.context import CARD, NOT_A_PHONE, PHONE, ContextWords
from serve.steps.guard.finding import Finding

_CARD: Final = re.compile(r"(?<![\w.])(?:[2-6]|1800)\d(?:[ -]?\d){9,17}(?![\w])")
_GROUPED: Final = re.compile(r"\d{4}([ -])\d{4}\1\d{4}\1\d{4}|\d{4}([ -])\d{6}\2\d{5}")
_CARD_WORDS: Final = ContextWords(CARD)

_IBAN: Final = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?:[ -]?[A-Za-z0-9]){11,30}(?![A-Za-z0-9])")

_IPV4: Final = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w]|\.\d)")
_IPV6: Final = re.compile(
    r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,8}(?:[0-9A-Fa-f]{1,4}|(?:\d{1,3}\.){3}\d{1,3})?(?![\w:])"
)
_VERSION: Final = re.compile(r"(?:\bv|version|release|chapter|section)\.? ?$", re.IGNORECASE)

_PHONE: Final = re.compile(
    r"(?<![\w.+@/:-])(?:\+|00)?\(?\d(?:[ ().\-/]{0,3}\d){5,15}(?: ?(?:x|ext\.?) ?\d{1,6})?(?![\w@])"
)
_EXTENSION: Final = re.compile(r" ?(?:x|ext\.?) ?\d+$")
_SHAPED: Final = re.compile(r"(?:\+?1[ .-]?|001[ .-])?(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[ .-]\d{4}")
_ROLE: Final = re.compile(r"[\s\\,:(-]{0,3}(?:office|fax|mobile|phone|cell|home|work|tel|desk|direct)\b", re.IGNORECASE)
_DATE: Final = re.compile(r"\d{4}[-./]\d{1,2}[-./]\d{1,2}|\d{1,2}[-./]\d{1,2}[-./]\d{2,4}")
_PHONE_WORDS: Final = ContextWords(PHONE, NOT_A_PHONE)
_BLANKS: Final = str.maketrans("", "", " -().+/")


@dataclass(frozen=True, slots=True)
class NationalId:
    """An identifier of persons.

    Attributes:
        entity: its name.
        shape: how it is written.
        is_valid: its checksum, given the letters and digits alone, in capitals.
        words: what must stand before it; none where the checksum is enough.
    """

    entity: str
    shape: re.Pattern[str]
    is_valid: Callable[[str], bool]
    words: ContextWords | None


def _shape(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w.-]){pattern}(?![\w-])")


NATIONAL_IDS: Final = (
    NationalId("US_SSN", _shape(r"\d{3}-\d{2}-\d{4}"), checksums.us_ssn, None),
    NationalId("US_SSN", _shape(r"\d{9}"), checksums.us_ssn, ContextWords(["ssn", "social security"])),
    NationalId("UK_NINO", _shape(r"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D]"), bool, None),
    NationalId("ES_DNI", _shape(r"[XYZ\d]\d{7}-?[A-Z]"), checksums.es_dni, None),
    NationalId("FR_NIR", _shape(r"[12] ?\d{2} ?\d{2} ?\d{2} ?\d{3} ?\d{3} ?\d{2}"), checksums.fr_nir, None),
    NationalId("BR_CPF", _shape(r"\d{3}\.\d{3}\.\d{3}-\d{2}"), checksums.br_cpf, None),
    NationalId("NL_BSN", _shape(r"\d{9}"), checksums.nl_bsn, ContextWords(["bsn", "burgerservice", "sofi"])),
    NationalId("PL_PESEL", _shape(r"\d{11}"), checksums.pl_pesel, ContextWords(["pesel"])),
)


def cards(text: str) -> Iterator[Finding]:
    """Numbers of payment cards: an issuer's first digit, the check digit, and either the word or a card's grouping."""
    for match in _CARD.finditer(text):
        digits = match[0].translate(_BLANKS)
        is_named = _GROUPED.fullmatch(match[0]) or _CARD_WORDS.precede(text, match.start())
        if is_named and 12 <= len(digits) <= 19 and checksums.luhn(digits):
            yield Finding("CARD", *match.span())


def ibans(text: str) -> Iterator[Finding]:
    """International bank account numbers, by their country's length and check digits."""
    for match in _IBAN.finditer(text):
        for end in _ends_of_groups(match):
            if checksums.iban(text[match.start() : end].translate(_BLANKS).upper()):
                yield Finding("IBAN", match.start(), end)
                break


def _ends_of_groups(match: re.Match[str]) -> Iterator[int]:
    """Where a number that blanks divide may end, the longest first: a word after it may look like a further group."""
    end = match.end()
    while end > match.start() + 14:
        yield end
        blank = max(match.string.rfind(mark, match.start(), end) for mark in " -")
        end = blank


def addresses(text: str) -> Iterator[Finding]:
    """IP addresses of either version; those that name no machine of anybody (loopback, unset) are left out."""
    for pattern in (_IPV4, _IPV6):
        for match in pattern.finditer(text):
            try:
                address = ipaddress.ip_address(match[0])
            except ValueError:
                continue
            is_nobodys = address.is_loopback or address.is_unspecified or address.is_multicast
            if not is_nobodys and not _VERSION.search(text, max(0, match.start() - 10), match.start()):
                yield Finding("IP", *match.span())


def phones(text: str) -> Iterator[Finding]:
    """Telephone numbers: with a country's prefix, in the North American shape, or where words say so."""
    for match in _PHONE.finditer(text):
        number = _EXTENSION.sub("", match[0])
        digits = number.translate(_BLANKS)
        if not 7 <= len(digits) <= 15 or _DATE.fullmatch(number):
            continue
        is_one = (
            (number[0] == "+" and len(digits) >= 8)
            or _SHAPED.fullmatch(number)
            or _ROLE.match(text, match.end())
            or _PHONE_WORDS.precede(text, match.start())
        )
        if is_one:
            yield Finding("PHONE", *match.span())


def national_ids(text: str, known: Sequence[NationalId] = NATIONAL_IDS) -> Iterator[Finding]:
    """Identifiers of persons: shape, checksum and, where those are weak, the word before."""
    for kind in known:
        for match in kind.shape.finditer(text):
            written = match[0].translate(_BLANKS)
            if kind.is_valid(written) and (kind.words is None or kind.words.precede(text, match.start())):
                yield Finding(kind.entity, *match.span())
