"""Pairs of the strict-schema run: every value follows its schema, and no pair is refused before it is asked."""

from __future__ import annotations

from jsonschema import Draft202012Validator

from experts.json_schema.conformance import conforms
from experts.json_schema.reduction import reduce_schema
from loadtests.schema_pairs import draw_pair


def test_every_value_follows_its_schema_and_its_reduction() -> None:
    pairs = [draw_pair(3, number) for number in range(330)]
    assert len({pair.kind for pair in pairs}) == 11
    for pair in pairs:
        assert Draft202012Validator(pair.schema).is_valid(pair.value), pair
        assert conforms(pair.value, reduce_schema(pair.schema, "strict")), pair


def test_a_pair_depends_on_seed_and_number_alone() -> None:
    assert draw_pair(1, 7) == draw_pair(1, 7)
    assert draw_pair(1, 7) != draw_pair(2, 7)
