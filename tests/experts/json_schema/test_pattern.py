"""Patterns are read as ECMA-262 has them; what is wrong or not supported is named."""

from __future__ import annotations

import pytest

from experts.json_schema.pattern import MAX_CHARS, PatternError, parse_pattern


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("(", "too early|not closed"),
        (")", "not open"),
        ("[a", "too early"),
        ("a**", "behind a quantifier"),
        ("*", "nothing to repeat"),
        ("a{2,1}", "the lower count first"),
        ("a{1,9999}", "up to 1000"),
        ("a{x}", "no count"),
        ("((a{999}){999}){9}", "repeats too much"),
        ("[z-a]", "from a lower one"),
        (r"[\d-z]", "from a lower one"),
        (r"(a)\1", "back-references"),
        (r"(?<n>a)\k<n>", "back-references"),
        (r"\p{L}", "Unicode properties"),
        (r"\y", "means nothing"),
        (r"\xzz", "hexadecimal"),
        (r"\u{110000}", "hexadecimal"),
        ("(?i)a", "kind of group"),
        ("(?>a)", "kind of group"),
        ("a" * (MAX_CHARS + 1), "characters"),
        ("(" * 40 + ")" * 40, "levels"),
        ("\\", "too early"),
    ],
)
def test_what_cannot_be_read_is_named(pattern: str, words: str) -> None:
    with pytest.raises(PatternError, match=words):
        parse_pattern(pattern)


def test_the_same_pattern_is_parsed_once() -> None:
    assert parse_pattern("^[a-z]+$") is parse_pattern("^[a-z]+$")
