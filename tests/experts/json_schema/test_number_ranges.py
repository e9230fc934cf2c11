"""Patterns of digits let through every number of a range, and nothing whose whole part lies outside it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experts.json_schema.number_ranges import number_patterns
from tests.experts.ebnf import matches

ENDS = st.sampled_from([0, 1, -1, 0.5, 0.1, 0.05, 1e-5, 9.99, 10, 1e16, -0.75, 3e-7, 5e-324]) | st.floats(-1e20, 1e20)
BOUNDS = st.dictionaries(
    st.sampled_from(["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"]), ENDS, min_size=1, max_size=3
)


def is_within(number: float, bounds: dict[str, float]) -> bool:
    return (
        bounds.get("minimum", number) <= number <= bounds.get("maximum", number)
        and ("exclusiveMinimum" not in bounds or number > bounds["exclusiveMinimum"])
        and ("exclusiveMaximum" not in bounds or number < bounds["exclusiveMaximum"])
    )


@given(BOUNDS, st.floats(allow_nan=False, allow_infinity=False), st.sampled_from([0.001, -0.001, 1e-9, 0.1]))
def test_exactly_the_numbers_between_the_bounds_can_be_written(
    bounds: dict[str, float], number: float, aside: float
) -> None:
    patterns = number_patterns(bounds)
    for value in (number, *bounds.values(), *(end + aside for end in bounds.values())):
        written = json.dumps(value + 0.0)  # no negative zero
        assert matches(patterns, written) == is_within(value, bounds), (bounds, value)


@given(st.integers(-200, 200), st.integers(0, 200), st.integers(-500, 500), st.sampled_from(["", ".0", ".5"]))
def test_whole_bounds_are_kept_exactly(low: int, width: int, whole: int, rest: str) -> None:
    written = f"{whole}{rest}"
    patterns = number_patterns({"minimum": low, "maximum": low + width})
    assert matches(patterns, written) == (low <= float(written) <= low + width)


@pytest.mark.parametrize(
    ("bounds", "text"),
    [
        ({"minimum": 0}, "-0.5"),
        ({"minimum": 0, "maximum": 1}, "1.5"),
        ({"minimum": 0, "maximum": 9}, "1e5"),
        ({"maximum": -1}, "0.5"),
        ({"minimum": 100}, "99.9"),
        ({"minimum": 2}, "1e-5"),
        ({"exclusiveMaximum": 10}, "11"),
        ({"minimum": -2, "maximum": -1}, "3"),
    ],
)
def test_what_is_far_outside_cannot_be_written(bounds: dict[str, Any], text: str) -> None:
    assert not matches(number_patterns(bounds), text)


@pytest.mark.parametrize("number", [0.0, 5e-324, 1e16, 1.7976931348623157e308, -2.5e-8, 123456789.125])
def test_without_bounds_every_double_can_be_written(number: float) -> None:
    assert matches(number_patterns({}), json.dumps(number))


@pytest.mark.parametrize("text", ["01", ".5", "1.", "+1", "1e", "- 1", "NaN", "Infinity", "1_000"])
def test_what_is_no_number_in_json_cannot_be_written(text: str) -> None:
    assert not matches(number_patterns({}), text)
