"""Matches are those of Python's `re`, also where that one would need hours."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experts.json_schema.pattern_match import is_match
from tests.experts.json_schema_patterns import EMAIL, PATTERNS


@given(PATTERNS, st.text("ab0 ", max_size=6))
def test_matches_are_those_of_re(pattern: str, text: str) -> None:
    assert is_match(text, pattern) == (re.search(pattern.replace("$", r"\Z"), text, re.ASCII) is not None)


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        (EMAIL, ["bob@example.com", "a.b+c@x-y.example.org"], ["bob", ".a@b.co", "a..b@c.de", "a@b", "a@b.c"]),
        (r"^\d{4}-\d{2}$", ["2024-01"], ["2024-1", "x2024-01", "2024-01\n"]),
        (r"^\u00e9\x41\t[\b\]]$", ["éA\t\b", "éA\t]"], ["eA\t\b"]),
        (r"^(?<year>\d+)$", ["7"], ["x"]),
        ("^[^\\s]+$", ["日本"], ["a b", "a\u3000b"]),
        ("", ["", "x"], []),
    ],
)
def test_patterns_of_clients(pattern: str, good: list[str], bad: list[str]) -> None:
    assert [text for text in good if not is_match(text, pattern)] == []
    assert [text for text in bad if is_match(text, pattern)] == []


@pytest.mark.parametrize("pattern", ["^(a+)+$", "^(a|a)*$", "^(a*)*b$", "^(.*a){12}$", "(?=(a+)+b)c"])
def test_no_pattern_holds_anybody_up(pattern: str) -> None:
    assert not is_match("a" * 5_000 + "!", pattern)
    assert not is_match("a" * 50_000, pattern)
