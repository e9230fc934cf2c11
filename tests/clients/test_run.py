"""The table of docs/clients.md is what the scripts said, and the actors' values follow their schemas."""

import pytest
from jsonschema import Draft202012Validator

from tests.clients.actor import value_of
from tests.clients.run import BEGIN, END, PAGE, table, written

RESULTS = [{"client": "a", "version": "1.0", "results": {"chat": None, "stream": "AssertionError: "}}]


def test_an_outcome_is_a_cell() -> None:
    assert table(RESULTS).splitlines()[-1].startswith("| a | 1.0 | ✓ | ✗ | – |")


def test_the_page_keeps_what_is_around_its_table() -> None:
    page = written(f"before\n{BEGIN}\nold\n{END}after\n", table(RESULTS))
    assert page == f"before\n{BEGIN}\n{table(RESULTS)}\n{END}after\n"
    assert BEGIN in PAGE.read_text()


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"type": ["string", "null"]}}},
        {"type": "array", "minItems": 2, "items": {"enum": ["x", "y"]}},
        {"anyOf": [{"type": "integer", "exclusiveMinimum": 3}, {"type": "null"}]},
        {"type": "string", "format": "email"},
    ],
)
def test_a_value_follows_its_schema(schema: dict[str, object]) -> None:
    Draft202012Validator(schema).validate(value_of(schema))
