"""Patterns of digits let through the whole numbers of a range and no others; bounds mean what JSON Schema says."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experts.json_schema.integer_ranges import MAX_DIGITS, integer_patterns, whole_bounds
from tests.experts.ebnf import matches
from tests.experts.schemas import validator

BOUNDS = st.integers(-60, 60) | st.floats(-60, 60)
KEYWORDS = st.sampled_from(["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"])


@given(st.none() | st.integers(-1_500, 1_500), st.none() | st.integers(-1_500, 1_500), st.integers(-2_000, 2_000))
def test_whole_numbers_are_kept_exactly_between_their_bounds(low: int | None, high: int | None, number: int) -> None:
    is_between = (low is None or low <= number) and (high is None or number <= high)
    assert matches(integer_patterns(low, high), str(number)) == is_between


@given(st.integers(-(10**30), 10**30), st.integers(0, 10**30), st.integers(-2, 2))
def test_and_large_ones_too(low: int, width: int, step: int) -> None:
    patterns = integer_patterns(low, low + width)
    for number in (low + step, low + width + step, low + width // 2):
        assert matches(patterns, str(number)) == (low <= number <= low + width)
    assert all(re.fullmatch(r'[\[\]{},0-9" \-]+', pattern) for pattern in patterns)


@pytest.mark.parametrize(("low", "high"), [(1, 0), (-3, -4), (10**30, 5)])
def test_an_empty_range_has_no_pattern(low: int, high: int) -> None:
    assert integer_patterns(low, high) == []


@pytest.mark.parametrize("text", ["00", "01", "-0", "-01", "+1", "1.0", ""])
def test_a_number_is_spelt_as_json_spells_it(text: str) -> None:
    assert not matches(integer_patterns(None, None), text)


def test_without_bounds_the_digits_are_still_bounded() -> None:
    patterns = integer_patterns(None, None)
    assert all(matches(patterns, sign + "9" * MAX_DIGITS) for sign in ("", "-"))
    assert not any(matches(patterns, sign + "1" + "0" * MAX_DIGITS) for sign in ("", "-"))


def test_patterns_stay_few_however_far_the_bounds_are_apart() -> None:
    assert len(integer_patterns(-(10**39) - 12_345, 10**39 + 98_765)) < 200


@given(st.dictionaries(KEYWORDS, BOUNDS, max_size=4))
def test_bounds_hold_the_whole_numbers_that_the_schema_takes(bounds: dict[str, Any]) -> None:
    low, high = whole_bounds(bounds)
    judge = validator({"type": "integer", **bounds})
    for number in range(-62, 63):
        is_between = (low is None or low <= number) and (high is None or number <= high)
        assert is_between == judge.is_valid(number)
