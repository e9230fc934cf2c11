"""BFCL's rules, and each place where its own checker is wrong."""

from typing import Any

import pytest

from experts.evaluation.suites.ast_rules import Call, Wanted, agrees, exactly, fits

SCHEMA = {
    "type": "object",
    "properties": {
        "text": {"type": "string"},
        "count": {"type": "integer"},
        "size": {"type": "number"},
        "sizes": {"type": "array", "items": {"type": "number"}},
        "flag": {"type": "boolean"},
        "place": {"type": "object"},
        "points": {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}},
    },
    "required": ["text"],
}


def is_right(arguments: dict[str, Any], allowed: dict[str, Any], schema: dict[str, Any] = SCHEMA) -> bool:
    return fits(Wanted("f", allowed), Call("f", arguments), schema)


def test_name_required_unexpected_and_omitted() -> None:
    allowed = {"text": ["a"], "count": [3, ""]}
    assert is_right({"text": "a", "count": 3}, allowed)
    assert is_right({"text": "a"}, allowed)  # "" says that it may be left out
    assert not is_right({"count": 3}, allowed)  # required
    assert not is_right({"text": "a", "size": 1}, allowed)  # in the schema, but not allowed here
    assert not is_right({"text": "a", "other": 1}, {**allowed, "other": [1]})  # not in the schema
    assert not is_right({"text": "a"}, {"text": ["a"], "count": [3]})  # 3 was wanted and may not be left out
    assert not fits(Wanted("g", allowed), Call("f", {"text": "a"}), SCHEMA)


def test_dots_and_underscores_are_one_name_both_ways() -> None:
    assert fits(Wanted("math.add", {"text": ["a"]}), Call("math_add", {"text": "a"}), SCHEMA)
    assert fits(Wanted("math_add", {"text": ["a"]}), Call("math.add", {"text": "a"}), SCHEMA)


def test_strings_are_compared_without_case_spaces_and_small_marks() -> None:
    assert is_right({"text": "New York, NY"}, {"text": ["new york ny"]})
    assert is_right({"text": "it's"}, {"text": ['it"s']})
    assert not is_right({"text": "New Jersey"}, {"text": ["New York"]})


@pytest.mark.parametrize(("value", "allowed"), [("*", "/"), ("-", "+"), (".", ""), (" - ", "")])
def test_strings_of_ignored_marks_alone_are_not_all_equal(value: str, allowed: str) -> None:
    """The reference makes "" of both and calls them the same."""
    assert not is_right({"text": value}, {"text": [allowed]})
    assert is_right({"text": "*"}, {"text": ["/", "*"]})


def test_the_empty_string_itself_counts_where_it_may_be_left_out() -> None:
    assert is_right({"text": ""}, {"text": ["a", ""]})


def test_whole_numbers_count_for_number_at_any_depth() -> None:
    assert is_right({"text": "a", "size": 5}, {"text": ["a"], "size": [5.0]})
    # The reference converts only the argument itself, and fails this list.
    assert is_right({"text": "a", "sizes": [5, 2.5]}, {"text": ["a"], "sizes": [[5.0, 2.5]]})
    assert not is_right({"text": "a", "count": 5.0}, {"text": ["a"], "count": [5]})
    assert not is_right({"text": "a", "count": "5"}, {"text": ["a"], "count": [5]})


def test_true_is_never_one() -> None:
    assert not is_right({"text": "a", "count": True}, {"text": ["a"], "count": [1]})
    assert not is_right({"text": "a", "flag": 1}, {"text": ["a"], "flag": [True]})
    # Inside an object the reference compares with ==, for which True is 1.
    assert not is_right({"text": "a", "place": {"n": True}}, {"text": ["a"], "place": [{"n": [1]}]})
    assert not is_right({"text": "a", "sizes": [True]}, {"text": ["a"], "sizes": [[1]]})


def test_lists_are_ordered_and_tuples_are_lists() -> None:
    allowed = {"text": ["a"], "points": [[[1, 2], [3, 4]]]}
    assert is_right({"text": "a", "points": [[1, 2], [3, 4]]}, allowed)
    assert not is_right({"text": "a", "points": [[3, 4], [1, 2]]}, allowed)
    assert not is_right({"text": "a", "points": [[1, 2]]}, allowed)
    tuples = {"type": "dict", "properties": {"p": {"type": "tuple", "items": {"type": "float"}}}, "required": []}
    assert is_right({"p": [1, 2]}, {"p": [[1, 2]]}, tuples)


def test_objects_hold_allowed_values_by_key() -> None:
    allowed = {"text": ["a"], "place": [{"city": ["Paris", "paris, FR"], "zip": ["", "75001"]}]}
    assert is_right({"text": "a", "place": {"city": "PARIS"}}, allowed)
    assert is_right({"text": "a", "place": {"city": "Paris", "zip": "75001"}}, allowed)
    assert not is_right({"text": "a", "place": {"zip": "75001"}}, allowed)
    assert not is_right({"text": "a", "place": {"city": "Paris", "country": "FR"}}, allowed)


def test_lists_of_objects_are_compared_one_by_one() -> None:
    allowed = [{"field": ["age"], "value": ["25"]}, {"field": ["job"], "value": ["engineer"]}]
    assert agrees([{"field": "age", "value": "25"}, {"field": "job", "value": "Engineer"}], allowed)
    assert not agrees([{"field": "job", "value": "engineer"}, {"field": "age", "value": "25"}], allowed)


def test_allowed_values_that_contradict_the_schema_win() -> None:
    """Some rows declare an integer and allow only a name of a variable."""
    assert is_right({"text": "a", "count": "n"}, {"text": ["a"], "count": ["n"]})
    assert not is_right({"text": "a", "count": "m"}, {"text": ["a"], "count": ["n"]})


def test_a_schema_without_types_allows_any() -> None:
    loose: dict[str, Any] = {"properties": {"x": {"type": "any"}, "y": {}}}
    assert is_right({"x": [1], "y": None}, {"x": [[1]], "y": [None]}, loose)


def test_a_reference_call_allows_itself_alone() -> None:
    arguments = {"text": "a", "place": {"city": "Paris", "tags": ["x", "y"]}}
    assert is_right(arguments, dict(exactly(arguments)))
    assert not is_right({**arguments, "place": {"city": "Paris", "tags": ["y", "x"]}}, dict(exactly(arguments)))
    assert not is_right({"text": "a"}, dict(exactly(arguments)))
