"""A value is a text unless its schema says otherwise; several are said one after the other."""

import pytest

from experts.training.recipes.said_value import STRING, Value, enumerated


def test_a_value_is_a_text_and_asks_for_no_form_unless_it_says_so() -> None:
    value = Value("noon", "12:00")
    assert (value.schema, value.note) == (STRING, "")


@pytest.mark.parametrize(
    ("items", "said"), [(["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c", "d"], "a, b, c and d")]
)
def test_several_are_enumerated(items: list[str], said: str) -> None:
    assert enumerated(items) == said
