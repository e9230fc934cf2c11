"""Values that cannot be what a parameter is for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experts.conversation.missing.aptness import is_apt, name_words, twins
from experts.conversation.missing.said import Said


@pytest.mark.parametrize(
    ("tool", "parameter", "value"),
    [
        ("rent_car", "pickup_date", "1:30 pm"),
        ("rent_car", "pickupTime", "2024-05-03"),
        ("get_weather", "city", "March 7th"),
        ("GetRide", "destination", "2"),
        ("rent_car", "pickup_city", "17:00"),
        ("FindMovies", "genre", "movies"),
        ("FindMovies", "genre", "Genre"),
        ("SearchHotel", "location", "my hotel"),
    ],
)
def test_a_value_of_another_kind_is_not_apt(tool: str, parameter: str, value: str) -> None:
    assert not is_apt(tool, parameter, value)


@pytest.mark.parametrize(
    ("tool", "parameter", "value"),
    [
        ("rent_car", "pickup_date", "2024-05-03"),
        ("rent_car", "pickup_date", "2024-05-03 14:30"),
        ("rent_car", "pickup_time", "14:30"),
        ("get_weather", "city", "Oslo"),
        ("get_weather", "location", "94105"),
        ("get_weather", "location", "221B Baker Street"),
        ("get_lift", "wing_area", "36.9"),
        ("FindMovies", "genre", "silent movies"),
        ("create_team", "team_id", "team1"),
        ("train", "data", "my_data"),
        ("GetRide", "seats", 2),
        ("GetRide", "destination", ""),
        ("GetRide", "destination", None),
    ],
)
def test_others_are(tool: str, parameter: str, value: object) -> None:
    assert is_apt(tool, parameter, value)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("departureDate", ["departure", "date"]),
        ("departure_date", ["departure", "date"]),
        ("HTTPServer2", ["http", "server", "2"]),
        ("città", ["citt", "à"]),
        ("_", []),
    ],
)
def test_names_are_words(name: str, words: list[str]) -> None:
    assert name_words(name) == words


@pytest.mark.parametrize(
    ("values", "text", "shared"),
    [
        ({"origin": "Rome", "destination": "rome"}, "to Rome", ["origin", "destination"]),
        ({"origin": "Rome", "destination": "Rome"}, "from Rome to Rome", []),
        ({"origin": "Oslo", "destination": "Rome"}, "to Rome", []),
        ({"a": "5", "b": "5"}, "a square of 5", []),
        ({"a": 5, "b": 5}, "a square of 5", []),
        ({"a": "", "b": ""}, "", []),
        ({}, "", []),
    ],
)
def test_what_was_said_once_is_not_for_two(values: dict[str, object], text: str, shared: list[str]) -> None:
    assert twins(values, Said([text])) == shared


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=40))
def test_any_name_and_value_get_a_verdict(tool: str, parameter: str, value: str) -> None:
    assert is_apt(tool, parameter, value) in (True, False)
