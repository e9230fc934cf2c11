"""A schema as a text: refused where it is none, and reduced once however often it comes."""

from __future__ import annotations

import json

import pytest

from experts.json_schema.reduction import SchemaError, reduce_schema
from experts.json_schema.schema_text import MAX_BYTES, parse_schema, reduced_text

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}


@pytest.mark.parametrize("text", ["{", "NaN", '{"minimum": Infinity}', "[" * 10_000, '"' + "x" * 70_000 + '"'])
def test_what_is_not_json_is_refused(text: str) -> None:
    with pytest.raises(SchemaError):
        parse_schema(text)


def test_the_bound_is_of_bytes_and_exact() -> None:
    assert parse_schema('"' + "é" * (MAX_BYTES // 2 - 1) + '"') == "é" * (MAX_BYTES // 2 - 1)
    with pytest.raises(SchemaError, match=f"longer than {MAX_BYTES} bytes"):
        parse_schema('"' + "é" * (MAX_BYTES // 2) + '"')


def test_a_reduction_is_made_once() -> None:
    reduced_text.cache_clear()
    text = json.dumps(SCHEMA)
    assert json.loads(reduced_text(text, "strict")) == reduce_schema(SCHEMA, "strict")
    reduced_text(text, "strict")
    assert reduced_text.cache_info().hits == 1
