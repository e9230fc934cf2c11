"""The `format`s of strings that decoding can enforce: what a grammar allows, and what a check accepts.

A grammar accepts all that the check does and little more: it knows the days of each month and leap years, but neither
the length of a whole mailbox nor when a leap second is. Sources: RFC 3339 (dates and times, durations in its appendix
A), RFC 5321 4.1.2 (mailboxes, without quoted ones), RFC 9562 (UUIDs), RFC 3986 (URIs, and IPv6 addresses as in its
section 3.2.2), RFC 1123 2.1 (host names). Used by `experts.json_schema.grammar` and `experts.json_schema.conformance`.
"""

from __future__ import annotations

import datetime
import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

_DAY: Final = 24 * 60  # minutes
_YEAR: Final = '([1-9] [0-9]{3} | "0" [1-9] [0-9]{2} | "00" [1-9] [0-9] | "000" [1-9])'
_BY_FOUR: Final = '("0" [48] | [2468] [048] | [13579] [26])'
_LEAP_YEAR: Final = f'([0-9]{{2}} {_BY_FOUR} | {_BY_FOUR} "00")'
_DAY_TO_28: Final = '"0" [1-9] | "1" [0-9] | "2" [0-8]'
_DAY_TO_30: Final = '"0" [1-9] | [12] [0-9] | "30"'
_DAY_TO_31: Final = '"0" [1-9] | [12] [0-9] | "3" [01]'
_DAYS: Final = (
    f'("0" ([13578] "-" ({_DAY_TO_31}) | [469] "-" ({_DAY_TO_30}) | "2-" ({_DAY_TO_28}))'
    f' | "1" ([02] "-" ({_DAY_TO_31}) | "1-" ({_DAY_TO_30})))'
)
_DATE: Final = f'({_YEAR} "-" {_DAYS} | {_LEAP_YEAR} "-02-29")'
_HOUR: Final = '([01] [0-9] | "2" [0-3])'
_CLOCK: Final = f'{_HOUR} ":" [0-5] [0-9] ":" ([0-5] [0-9] | "60") ("." [0-9]{{1,9}})?'
_OFFSET: Final = f'("Z" | "z" | [+\\-] {_HOUR} ":" [0-5] [0-9])'
_SMALL: Final = "[0-9]{1,6}"
_TIME_PARTS: Final = (
    f'("T" ({_SMALL} "H" ({_SMALL} "M" ({_SMALL} "S")?)? | {_SMALL} "M" ({_SMALL} "S")? | {_SMALL} "S"))'
)
_DATE_PARTS: Final = f'({_SMALL} "Y" ({_SMALL} "M" ({_SMALL} "D")?)? | {_SMALL} "M" ({_SMALL} "D")? | {_SMALL} "D")'
_LABEL: Final = "[a-zA-Z0-9] ([a-zA-Z0-9\\-]{0,61} [a-zA-Z0-9])?"
_URI_CHAR: Final = '([a-zA-Z0-9._~:/?@!$&\'()*+,;=\\-] | "[" | "]" | "%" hex hex)'
_OCTET: Final = '("25" [0-5] | "2" [0-4] [0-9] | "1" [0-9] [0-9] | [1-9]? [0-9])'
_IPV4: Final = f'{_OCTET} "." {_OCTET} "." {_OCTET} "." {_OCTET}'
_H16: Final = "hex{1,4}"
_TWO_GROUPS: Final = f'({_H16} ":" {_H16} | {_IPV4})'


def _ipv6() -> str:
    """Write RFC 3986's IPv6address: eight groups, or fewer with one `::` in their place."""
    options = [f'({_H16} ":"){{6}} {_TWO_GROUPS}']
    for before in range(8):
        behind = 7 - before
        up_to = f'({_H16} (":" {_H16}){{0,{before - 1}}})? ' if before > 1 else f"({_H16})? " * before
        rest = f'({_H16} ":"){{{behind - 2}}} ' if behind > 2 else ""
        last = _TWO_GROUPS if behind > 1 else _H16 if behind else ""
        options.append(f'{up_to}"::" {rest}{last}'.strip())
    return " | ".join(options)


_ATOM: Final = "[a-zA-Z0-9!#$%&'*+/=?^_`{|}~\\-]{1,64}"


@dataclass(frozen=True, slots=True)
class StringFormat:
    """One format.

    Attributes:
        grammar: the shape, in XGrammar's EBNF, without the quotes around it.
        accepts: whether a text has the format.
    """

    grammar: str
    accepts: Callable[[str], bool]


MAX_URI_CHARS: Final = 2_000
_MAX_CHARS: Final = 320  # RFC 5321's longest mailbox


def _matches(pattern: str, *reads: Callable[[str], object], most: int = _MAX_CHARS) -> Callable[[str], bool]:
    """Make a check: a text of up to `most` characters matches, and each of `reads` takes it without a ValueError."""
    compiled = re.compile(pattern, re.ASCII)

    def accepts(text: str) -> bool:
        if len(text) > most or compiled.fullmatch(text) is None:
            return False
        try:
            for read in reads:
                read(text)
        except ValueError:
            return False
        return True

    return accepts


def _read_time(text: str) -> None:
    clock, offset = text[:8], text.lstrip("0123456789:.")
    is_leap = clock.endswith(":60")
    time = datetime.time.fromisoformat(clock[:6] + "59" if is_leap else clock)
    ahead = _minutes(datetime.time.fromisoformat(offset[1:])) if offset not in ("Z", "z") else 0
    utc = _minutes(time) + (ahead if offset[0] == "-" else -ahead)
    if is_leap and utc % _DAY != _DAY - 1:
        raise ValueError("leap seconds end a day of UTC")  # RFC 3339, section 5.7


def _minutes(time: datetime.time) -> int:
    return 60 * time.hour + time.minute


def _read_date_time(text: str) -> None:
    datetime.date.fromisoformat(text[:10])
    _read_time(text[11:])


_TIME_PATTERN: Final = r"\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)"
_DURATION_TIME: Final = r"T(\d+H(\d+M(\d+S)?)?|\d+M(\d+S)?|\d+S)"
_DURATION: Final = rf"P((\d+Y(\d+M(\d+D)?)?|\d+M(\d+D)?|\d+D)({_DURATION_TIME})?|{_DURATION_TIME}|\d+W)"
_LABEL_PATTERN: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_URI_PATTERN: Final = r"(?:[A-Za-z0-9._~:/?@!$&'()*+,;=\[\]-]|%[0-9A-Fa-f]{2})"
_ATOM_PATTERN: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"

FORMATS: Final[Mapping[str, StringFormat]] = {
    "date": StringFormat(_DATE, _matches(r"\d{4}-\d\d-\d\d", datetime.date.fromisoformat)),
    "time": StringFormat(f"{_CLOCK} {_OFFSET}", _matches(_TIME_PATTERN, _read_time)),
    "date-time": StringFormat(
        f"{_DATE} [Tt] {_CLOCK} {_OFFSET}", _matches(rf"\d{{4}}-\d\d-\d\d[Tt]{_TIME_PATTERN}", _read_date_time)
    ),
    "duration": StringFormat(f'"P" ({_DATE_PARTS} {_TIME_PARTS}? | {_TIME_PARTS} | {_SMALL} "W")', _matches(_DURATION)),
    "email": StringFormat(
        f'{_ATOM} ("." {_ATOM})* "@" {_LABEL} ("." {_LABEL})*',
        _matches(rf"{_ATOM_PATTERN}(?:\.{_ATOM_PATTERN})*@{_LABEL_PATTERN}(?:\.{_LABEL_PATTERN})*"),
    ),
    "uuid": StringFormat(
        'hex{8} "-" hex{4} "-" hex{4} "-" hex{4} "-" hex{12}',
        _matches(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"),
    ),
    "hostname": StringFormat(
        f'{_LABEL} ("." {_LABEL})*', _matches(rf"{_LABEL_PATTERN}(?:\.{_LABEL_PATTERN})*", most=253)
    ),
    "uri": StringFormat(
        f'[a-zA-Z] [a-zA-Z0-9+.\\-]{{0,30}} ":" {_URI_CHAR}* ("#" {_URI_CHAR}*)?',
        _matches(rf"[A-Za-z][A-Za-z0-9+.-]*:{_URI_PATTERN}*(#{_URI_PATTERN}*)?", most=MAX_URI_CHARS),
    ),
    "ipv4": StringFormat(_IPV4, _matches(r"[\d.]+", ipaddress.IPv4Address)),
    "ipv6": StringFormat(_ipv6(), _matches(r"[0-9a-fA-F:.]+", ipaddress.IPv6Address)),
}
