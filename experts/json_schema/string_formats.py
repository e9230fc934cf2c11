"""The `format`s of strings that decoding can enforce: what a grammar allows, and what a check accepts.

A grammar keeps only to the shape (`[0-9]` for a month's digits); the check also knows that there is no 13th month. So
the grammar accepts all that the check does and a little more. Sources: RFC 3339 (dates and times, durations in its
appendix A), RFC 5321 4.1.2 (mailboxes, without quoted ones), RFC 9562 (UUIDs), RFC 4291 2.2 (IPv6 addresses). Used by
`experts.json_schema.grammar` and `experts.json_schema.conformance`.
"""

from __future__ import annotations

import datetime
import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

_DAY: Final = 24 * 60  # minutes
_DATE: Final = '[0-9]{4} "-" [01] [0-9] "-" [0-3] [0-9]'
_CLOCK: Final = '[0-2] [0-9] ":" [0-5] [0-9] ":" [0-6] [0-9] ("." [0-9]{1,9})?'
_OFFSET: Final = '("Z" | "z" | [+\\-] [0-2] [0-9] ":" [0-5] [0-9])'
_SMALL: Final = "[0-9]{1,6}"
_TIME_PARTS: Final = (
    f'("T" ({_SMALL} "H" ({_SMALL} "M" ({_SMALL} "S")?)? | {_SMALL} "M" ({_SMALL} "S")? | {_SMALL} "S"))'
)
_DATE_PARTS: Final = f'({_SMALL} "Y" ({_SMALL} "M" ({_SMALL} "D")?)? | {_SMALL} "M" ({_SMALL} "D")? | {_SMALL} "D")'
_LABEL: Final = "[a-zA-Z0-9] [a-zA-Z0-9\\-]{0,62}"
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


def _matches(pattern: str, *reads: Callable[[str], object]) -> Callable[[str], bool]:
    """Make a check: the whole text matches `pattern`, and each of `reads` takes it without a ValueError."""
    compiled = re.compile(pattern, re.ASCII)

    def accepts(text: str) -> bool:
        if len(text) > 320 or compiled.fullmatch(text) is None:  # RFC 5321's longest mailbox
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
    "ipv4": StringFormat(
        '[0-9]{1,3} "." [0-9]{1,3} "." [0-9]{1,3} "." [0-9]{1,3}', _matches(r"[\d.]+", ipaddress.IPv4Address)
    ),
    "ipv6": StringFormat("[0-9a-fA-F:.]{2,45}", _matches(r"[0-9a-fA-F:.]+", ipaddress.IPv6Address)),
}
