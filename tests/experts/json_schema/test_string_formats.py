"""Formats: the check knows the standards, and the grammar lets through all that the check accepts."""

from __future__ import annotations

import json
from datetime import timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experts.json_schema.grammar import grammar_of
from experts.json_schema.string_formats import FORMATS
from tests.experts.ebnf import accepts
from tests.experts.schemas import validator

EXAMPLES = {
    "date": ("2024-02-29", "2023-02-29"),
    "time": ("23:59:60Z", "25:00:00Z"),
    "date-time": ("2024-02-29T12:00:00.5+01:00", "2024-02-30T12:00:00Z"),
    "duration": ("P1Y2M3DT4H5M6S", "P1D2Y"),
    "email": ("o'neil+x@mail.example", "a..b@x"),
    "uuid": ("00000000-0000-4000-8000-00000000000A", "00000000"),
    "ipv4": ("192.168.0.1", "256.1.1.1"),
    "ipv6": ("2001:db8::1", "2001:::1"),
    "hostname": ("a-1.example", "-a.example"),
    "uri": ("https://[::1]:80/a?b=%20#c", "no scheme/x"),
}


def can_be_written(name: str, text: str) -> bool:
    return accepts(grammar_of({"type": "string", "format": name}), json.dumps(text))


def test_every_format_has_an_example() -> None:
    assert EXAMPLES.keys() == FORMATS.keys()


@pytest.mark.parametrize("name", EXAMPLES)
def test_formats(name: str) -> None:
    good, bad = EXAMPLES[name]
    assert can_be_written(name, good)
    assert FORMATS[name].accepts(good)
    assert not FORMATS[name].accepts(bad)
    assert not can_be_written(name, "hello there")


ZONES = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
PAST = st.datetimes(timezones=ZONES)  # from the year 1 on
VALID = {
    "date": st.dates().map(str),
    "time": PAST.map(lambda moment: moment.timetz().isoformat()),
    "date-time": PAST.map(lambda moment: moment.isoformat()),
    "uuid": st.uuids().map(str),
    "ipv4": st.ip_addresses(v=4).map(str),
    "ipv6": st.ip_addresses(v=6).map(str),
}


@pytest.mark.parametrize("name", VALID)
@given(data=st.data())
def test_whatever_the_standard_library_writes_is_accepted_and_can_be_written(name: str, data: st.DataObject) -> None:
    text = data.draw(VALID[name])
    assert FORMATS[name].accepts(text)
    assert can_be_written(name, text)


ALMOST = {
    "date": r"[0-9]{4}-[01][0-9]-[0-3][0-9]Z?",
    "uuid": r"[0-9a-fA-F]{7,8}(-[0-9a-f]{4}){3}-[0-9A-Fg]{12}",
    "ipv4": r"[0-9]{1,3}(\.[0-9]{1,3}){2,4}",
    "ipv6": r"[0-9a-f]{0,5}(:[0-9a-f]{0,4}){2,8}(%e)?",
}


@pytest.mark.parametrize("name", ALMOST)
@given(data=st.data())
def test_the_check_agrees_with_another_validator(name: str, data: st.DataObject) -> None:
    text = data.draw(st.from_regex(ALMOST[name], fullmatch=True).filter(lambda text: not text.startswith("0000")))
    assert FORMATS[name].accepts(text) == validator({"type": "string", "format": name}).is_valid(text)


@pytest.mark.parametrize(
    ("name", "text", "is_good"),
    [
        ("time", "23:59:60Z", True),
        ("time", "15:59:60-08:00", True),
        ("time", "00:29:60.25+00:30", True),
        ("time", "22:59:60Z", False),  # leap seconds end a day of UTC
        ("time", "23:59:60+01:00", False),
        ("time", "12:60:60Z", False),
        ("time", "12:60:00Z", False),
        ("time", "12:00:61Z", False),
        ("time", "12:00:00", False),
        ("time", "12:00:00+24:00", False),
        ("date-time", "1998-12-31T23:59:60z", True),
        ("date-time", "1998-12-31T23:58:60Z", False),
        ("date-time", "1998-12-31 23:59:59Z", False),
        ("duration", "P4W", True),
        ("duration", "PT36H", True),
        ("duration", "P1YT1S", True),
        ("duration", "P", False),
        ("duration", "P1YT", False),
        ("duration", "PT1S1M", False),
        ("duration", "P1W2D", False),
        ("duration", "P1Y2D", False),  # appendix A: a unit is followed by the next smaller one
        ("email", "a@b", True),
        ("email", "@b.example", False),
        ("email", "a@-b.example", False),
        ("email", "a@b..example", False),
        ("email", "a b@c.example", False),
        ("email", "x" * 320 + "@b", False),
        ("ipv4", "1.2.3.04", False),
        ("ipv6", "::ffff:192.0.2.1", True),
        ("date", "２０２４-02-29", False),
        ("date", "2024-02-29\n", False),
    ],
)
def test_the_standards_corners(name: str, text: str, is_good: Any) -> None:
    assert FORMATS[name].accepts(text) is is_good
    assert not is_good or can_be_written(name, text)


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("date", ["0001-01-31", "2000-02-29", "2024-02-29", "1999-12-31"], ["2023-02-29", "1900-02-29", "2024-04-31"]),
        ("date", ["2024-11-30"], ["2024-13-01", "2024-00-10", "2024-01-00", "0000-01-01", "2024-1-1"]),
        ("time", ["23:59:59Z", "00:00:00.5-23:59"], ["24:00:00Z", "12:60:00Z", "12:00:00+24:00"]),
        ("ipv4", ["0.0.0.0", "255.255.255.255", "9.10.99.100"], ["256.0.0.1", "1.2.3", "01.2.3.4"]),
        ("ipv6", ["::", "::1", "1::", "1:2:3:4:5:6:7:8", "::ffff:1.2.3.4", "1::8", "1:2:3:4:5:6:7::"], ["1:2", ":::"]),
        ("hostname", ["localhost", "a.b-c.d"], ["a-.b", ".a", "a..b", ""]),
        ("uri", ["mailto:a@b.example", "urn:x"], ["http//x", "a b:c", "http://x/%zz", "x:a#b#c"]),
    ],
)
def test_what_the_grammar_writes_is_what_the_check_takes(name: str, good: list[str], bad: list[str]) -> None:
    for text, is_good in [*((text, True) for text in good), *((text, False) for text in bad)]:
        assert (can_be_written(name, text), FORMATS[name].accepts(text)) == (is_good, is_good), text
