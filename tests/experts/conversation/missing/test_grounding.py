"""Which values rest on what was said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experts.conversation.missing.grounding import is_english, is_free, is_said
from experts.conversation.missing.said import Said


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("Oslo", "Weather in oslo?"),
        ("São Paulo", "Flights to Sao Paulo, please"),
        ("8 Sushi", "a table at 8-Sushi"),
        ("comedy", "Some comedies for tonight"),
        ("Philadelphia", "I am in Philly"),
        ("San Francisco", "something around SF"),
        ("New York City", "in NYC"),
        ("Dr. Johnson", "with doctor johnson"),
        ("東京", "今日の東京の天気は"),
        ("Москва", "погода москва"),
        (4, "a table for four"),
        ("4", "a table for four"),
        (21, "twenty one of them"),
        (0.05, "at a rate of 5%"),
        (30, "in half an hour"),
        (1250.5, "pay 1,250.50 to Ann"),
        (2_500_000, "2.5 million people"),
        (-3, "b = -3"),
        ("16.5", "a weight of 16.5"),
        ("2024-05-03", "on the 3rd of May"),
        ("2024-05-07", "on Tuesday"),
        ("2024-05-03T14:00", "on the 3rd at 2pm"),
        ("14:30", "at half past two"),
        ("18:00", "6 in the evening"),
        (["milk", "eggs"], "buy eggs"),
        ({"city": "Rome", "zip": "00100"}, "to Rome"),
        # nobody says these in full: they are not doubted
        ("USD", "how much is it"),
        ("x^2 + 1", "the parabola"),
        ("America/New_York", "the time there"),
        ("+", "add them"),
        (10**400, "a large number"),
        (True, "turn it"),
        (None, "nothing"),
        (1, "a table"),
        ("Dear Ann, I am sorry that I cannot come", "tell Ann no"),
    ],
)
def test_what_was_said_in_any_form_is_found(value: object, text: str) -> None:
    assert is_said(value, Said([text]))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("Paris", "What is the weather like?"),
        ("San Francisco", "Find me a place to eat"),
        ("San Jose", "in San Diego"),  # "San" alone says nothing
        ("2019-03-10", "leaving on the 8th"),
        ("14:30", "a table for four"),
        (4, "a table, please"),
        ("4", "a table, please"),
        ("", "anything"),
        (["milk", "eggs"], "buy them"),
        ({"city": "Rome"}, "send it"),
    ],
)
def test_what_nobody_said_is_not(value: object, text: str) -> None:
    assert not is_said(value, Said([text]))


def test_a_text_full_of_numbers_says_any() -> None:
    assert is_said(7919.5, Said([" ".join(map(str, range(1000)))]))


@pytest.mark.parametrize(
    ("schema", "free"),
    [
        ({"type": "string"}, True),
        ({}, True),
        (None, True),
        ({"type": ["string", "null"]}, True),
        ({"enum": ["a", "b"]}, False),
        ({"const": "a"}, False),
        ({"type": "string", "default": "a"}, False),
        ({"type": "boolean"}, False),
        ({"anyOf": [{"type": "string"}, {"enum": ["a"]}]}, False),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, True),
    ],
)
def test_what_the_schema_names_is_not_the_users_to_say(schema: object, free: bool) -> None:
    assert is_free(schema) is free


@pytest.mark.parametrize(
    ("text", "english"),
    [
        ("What is the weather in Oslo?", True),
        ("I'd like a taxi", True),
        ("Book a table for two", True),
        ("Wie ist das Wetter in Oslo?", False),
        ("Reserva una mesa para el lunes", False),
        ("Quel temps fait-il à Paris ?", False),
        ("Zet een alarm voor maandag", False),
        ("明天的天气", False),
        ("Weather Oslo", False),  # nothing tells: so nothing is doubted
        ("", False),
    ],
)
def test_english_is_what_evidently_is(text: str, english: bool) -> None:
    assert is_english(Said([text])) is english


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(value=_JSON, text=st.text(max_size=80))
def test_any_value_gets_a_verdict(value: object, text: str) -> None:
    assert is_said(value, Said([text])) in (True, False)


@given(st.text(min_size=1).filter(str.strip))
def test_a_text_that_was_said_as_it_stands_is_found(value: str) -> None:
    assert is_said(value, Said(["Please take ", value, " for it"]))
