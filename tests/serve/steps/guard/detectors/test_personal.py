"""Personal data, by shape, checksum and the words before it: what is found, and what only looks like it."""

import pytest

from serve.steps.guard.detectors.personal import ENTITIES, PersonalData
from serve.steps.guard.plain_text import Places, plain

DATA = PersonalData(ENTITIES)


def found(text: str) -> list[tuple[str, str]]:
    places = Places(text)
    spans = [(one.entity, *places.original(one.start, one.end)) for one in DATA.find(plain(text))]
    return [(entity, text[start:end]) for entity, start, end in sorted(spans, key=lambda span: span[1])]


@pytest.mark.parametrize(
    ("entity", "text", "value"),
    [
        ("EMAIL", "write to first.last+tag@sub.example.co.uk.", "first.last+tag@sub.example.co.uk"),
        ("EMAIL", "Schreib an jürgen@müller.example!", "jürgen@müller.example"),
        ("CARD", "my card 4539578763621486 expires", "4539578763621486"),
        ("CARD", "4539-5787-6362-1486", "4539-5787-6362-1486"),
        ("CARD", "Amex 371449635398431", "371449635398431"),
        ("CARD", "Meine Kreditkarte: 5555555555554444", "5555555555554444"),
        ("CARD", "カード 3530111333300000", "3530111333300000"),
        ("IBAN", "DE89 3704 0044 0532 0130 00 please", "DE89 3704 0044 0532 0130 00"),
        ("IBAN", "to fr1420041010050500013m02606", "fr1420041010050500013m02606"),
        ("IP", "from 203.0.113.9, twice", "203.0.113.9"),
        ("IP", "host 2001:db8:85a3::8a2e:370:7334 is", "2001:db8:85a3::8a2e:370:7334"),
        ("PHONE", "+44 20 7946 0958", "+44 20 7946 0958"),
        ("PHONE", "(555) 010-9999 ext", "(555) 010-9999"),
        ("PHONE", "Telefon: 030 901820", "030 901820"),
        ("PHONE", "llámame al 612 345 678", "612 345 678"),
        ("PHONE", "携帯 090-1234-5678", "090-1234-5678"),
        ("PHONE", "212 555 010 mobile", "212 555 010"),
        ("US_SSN", "SSN 219-09-9999", "219-09-9999"),
        ("ES_DNI", "DNI 12345678Z", "12345678Z"),
        ("BR_CPF", "CPF 529.982.247-25", "529.982.247-25"),
        ("NL_BSN", "BSN 111222333", "111222333"),
        ("PL_PESEL", "PESEL 44051401359", "44051401359"),
        ("FR_NIR", "1 85 05 78 006 084 91", "1 85 05 78 006 084 91"),
        ("UK_NINO", "NI number AB 12 34 56 C", "AB 12 34 56 C"),
    ],
)
def test_it_is_found_where_it_is(entity: str, text: str, value: str) -> None:
    assert found(text) == [(entity, value)]


@pytest.mark.parametrize(
    "text",
    [
        "meet @noon or a@b",
        "order 4539578763621486",  # a card's digits, of something else
        "my card 4539578763621487",  # the check digit is wrong
        "DE88 3704 0044 0532 0130 00",
        "version 1.2.3.4 and 127.0.0.1 and 999.1.1.1",
        "at 12:34:56 on 2026-11-29",
        "population 1 234 567 in 2020",
        "order number 123 456 789",
        "ISBN 978-3-16-148410-0",
        "pi is 3.14159265358979",
        "219-00-9999 and 000-12-3456",
        "12345678A",
        "529.982.247-26",
        "add 17 and 25, then 100000 more",
    ],
)
def test_what_only_looks_like_it_is_not(text: str) -> None:
    assert found(text) == []


def test_only_what_was_asked_for_is_found() -> None:
    assert PersonalData(["email"]).find("Phone: 079 123 45 67") == []
