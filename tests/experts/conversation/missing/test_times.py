"""Days and hours: what names them."""

from __future__ import annotations

import pytest

from experts.conversation.missing.said import Said
from experts.conversation.missing.times import is_day, is_hour, is_time_alone, names_day, names_hour


@pytest.mark.parametrize(
    ("day", "text", "named"),
    [
        ("2024-05-03", "on the 3rd of May", True),
        ("03/05/2024", "on the fifth", True),
        ("2024-05-01", "some time in May", True),
        ("2024-05-04", "from the 1st for 3 nights", True),
        ("2024-05-07", "on Tuesday", True),
        ("2024-05-07", "next week", True),
        ("2024-05-07", "on the 3rd of May", False),
        ("2024-05-07", "in May", False),
        ("2024-05-07", "please", False),
    ],
)
def test_a_day_is_named_by_its_number_or_from_today(day: str, text: str, named: bool) -> None:
    assert names_day(Said([text]), day) is named


@pytest.mark.parametrize(
    ("hour", "text", "named"),
    [
        ("14:30", "at 2.30", True),
        ("14:30", "at two", True),
        ("02:30", "at 14:30", True),
        ("2 pm", "in the afternoon", True),
        ("2 p.m", "at 2", True),
        ("14:30", "at three", False),
        ("12:00", "at 12", True),
        ("14:30", "please", False),
    ],
)
def test_an_hour_is_named_on_either_clock_or_by_the_time_of_day(hour: str, text: str, named: bool) -> None:
    assert names_hour(Said([text]), hour) is named


@pytest.mark.parametrize(
    ("text", "day", "hour"),
    [
        ("2024-05-03", True, False),
        ("3.5.24", True, False),
        ("14:30", False, True),
        ("6 pm", False, True),
        ("2024-05-03 14:30", False, False),
        ("may", False, False),
        ("192.168.100.164", False, False),
    ],
)
def test_what_is_a_day_and_what_an_hour(text: str, day: bool, hour: bool) -> None:
    assert (is_day(text), is_hour(text)) == (day, hour)


@pytest.mark.parametrize(
    ("words", "alone"),
    [(["march", "7th"], True), (["12"], True), (["tomorrow"], True), (["94105"], False), (["march", "town"], False)],
)
def test_words_of_time_alone(words: list[str], alone: bool) -> None:
    assert is_time_alone(words) is alone
