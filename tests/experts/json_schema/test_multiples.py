"""Multiples between bounds: what can be written is what `conforms` takes, wherever patterns can hold the step."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experts.json_schema.conformance import conforms
from experts.json_schema.multiples import multiple_patterns
from tests.experts.ebnf import matches

ENDS = st.integers(-250, 250) | st.floats(-20, 20).map(lambda number: round(number, 2))
BOUNDS = st.dictionaries(
    st.sampled_from(["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"]), ENDS, max_size=2
)


@given(
    st.sampled_from(
        [("number", 0.01), ("number", 0.25), ("number", 5), ("integer", 5), ("integer", 20), ("integer", 4)]
    ),
    BOUNDS,
    st.integers(-400, 400) | st.floats(-25, 25).map(lambda number: round(number, 2)),
)
def test_the_right_ones_can_be_written(kind: tuple[str, float], bounds: dict[str, float], number: float) -> None:
    schema: dict[str, Any] = {"type": kind[0], "multipleOf": kind[1], **bounds}
    patterns = multiple_patterns(schema)
    assert patterns is not None
    for value in (number + 0, *bounds.values()):
        if schema["type"] == "integer" and value != int(value):
            continue
        written = json.dumps(int(value) if schema["type"] == "integer" else value + 0)
        assert matches(patterns, written) == conforms(json.loads(written), schema), (schema, written)


@pytest.mark.parametrize("text", ["19.90", "7.00", "0.05", "12"])
def test_prices_are_written_as_people_write_them(text: str) -> None:
    patterns = multiple_patterns({"type": "number", "multipleOf": 0.01, "exclusiveMinimum": 0})
    assert patterns is not None
    assert matches(patterns, text)
    assert not matches(patterns, f"{float(text)}001")


@pytest.mark.parametrize("schema", [{"type": "integer", "multipleOf": 3}, {"type": "number", "multipleOf": 0.07}])
def test_other_steps_are_left_to_the_check(schema: dict[str, Any]) -> None:
    assert multiple_patterns(schema) is None
