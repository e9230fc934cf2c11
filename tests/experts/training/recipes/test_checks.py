"""What a row must be to be learnt from."""

from __future__ import annotations

import pytest

from experts.training.recipes.checks import fits_schema, is_python

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


@pytest.mark.parametrize(
    ("arguments", "fits"),
    [({"a": 1}, True), ({"a": "1"}, False), ({}, False), ({"a": 1, "b": 2}, False), ([("a", 1)], False), (None, False)],
)
def test_arguments_have_the_types_and_the_names_that_the_tool_has(arguments: object, fits: bool) -> None:
    assert fits_schema(arguments, SCHEMA) is fits


def test_a_tool_without_parameters_takes_none() -> None:
    assert fits_schema({}, {"type": "object"})
    assert not fits_schema({"a": 1}, {"type": "object"})


@pytest.mark.parametrize(
    ("code", "is_code"), [("x = 1\n", True), ("", True), ("def (", False), ("x = '\0'", False), ("  x = 1", False)]
)
def test_code_is_what_compiles(code: str, is_code: bool) -> None:
    assert is_python(code) is is_code
