"""Quantities, dates and times: what a call has is what was said, in the unit or the form that is asked for."""

from __future__ import annotations

import datetime
import random
import re

import pytest

from experts.training.recipes.made_quantities import QUANTITIES
from experts.training.recipes.said_value import Value

_MANY = range(300)


def drawn(kind: str) -> list[Value]:
    return [QUANTITIES[kind](None, random.Random(seed)) for seed in _MANY]


@pytest.mark.parametrize(
    ("note", "form"),
    [
        ("as YYYY-MM-DD", "%Y-%m-%d"),
        ("in the format YYYY-MM-DD", "%Y-%m-%d"),
        ("as DD/MM/YYYY", "%d/%m/%Y"),
        ("in MM-DD-YYYY", "%m-%d-%Y"),
    ],
)
def test_a_date_has_the_form_asked_for_and_is_the_day_that_was_said(note: str, form: str) -> None:
    dates = [one for one in drawn("date") if one.note == note]
    assert len(dates) > 5
    for one in dates:
        day = datetime.datetime.strptime(one.value, form).date()
        assert {str(day.year), str(day.day)} <= {number.lstrip("0") for number in re.findall(r"\d+", one.said)}
        assert day.strftime("%B") in one.said or day.month in map(int, re.findall(r"\d+", one.said))


def test_days_are_counted_as_in_english() -> None:
    ordinals = {found for one in drawn("date") for found in re.findall(r"\d+(?:st|nd|rd|th)", one.said)}
    assert {"1st", "2nd", "3rd", "11th", "12th", "13th", "21st", "22nd", "23rd"} & ordinals
    assert not {"1th", "2th", "3th", "11st", "12nd", "13rd", "21th", "22th", "23th"} & ordinals


def test_a_time_in_24_hours_is_the_time_that_was_said() -> None:
    times = [one for one in drawn("time") if one.note]
    assert len(times) > 50
    for one in times:
        hour, minute = map(int, one.value.split(":"))
        said = re.fullmatch(r"(\d+)(?::(\d\d))? ?(am|pm)?", one.said)
        assert said is not None
        assert int(said[2] or 0) == minute
        assert int(said[1]) % 12 + 12 * (said[3] == "pm") == hour if said[3] else int(said[1]) == hour


@pytest.mark.parametrize("kind", ["number", "count", "degrees", "sides", "year", "small_percent"])
def test_a_number_is_the_one_that_was_said(kind: str) -> None:
    names = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
    for one in drawn(kind):
        said = one.said.rstrip("%").replace(",", "")
        assert (names.index(said) if said in names else float(said)) == one.value


def test_an_amount_and_a_percentage_have_the_unit_asked_for() -> None:
    for one in drawn("amount"):
        factor = 1_000_000 if "million" in one.said else 1
        assert float(re.findall(r"[\d.]+", one.said.replace(",", ""))[0]) * factor == pytest.approx(one.value)
    for one in drawn("percent"):
        factor = 0.01 if "fraction" in one.note or "0.05" in one.note else 1
        assert float(re.findall(r"[\d.]+", one.said)[0]) * factor == pytest.approx(one.value)


def test_a_span_of_time_is_in_minutes() -> None:
    spans = {one.said: one.value for one in drawn("minutes")}
    assert (spans["an hour and a half"], spans["half an hour"], spans["two hours"]) == (90, 30, 120)
    assert all(int(said.split()[0]) == value for said, value in spans.items() if said[0].isdigit())


def test_a_range_goes_up_and_a_point_is_its_two_numbers() -> None:
    for one in drawn("range"):
        assert one.said == f"${one.value['min']} and ${one.value['max']}"
        assert one.value["min"] < one.value["max"]
    for one in drawn("point"):
        axes = one.value if isinstance(one.value, list) else [one.value["x"], one.value["y"]]
        assert one.said == f"({axes[0]}, {axes[1]})"
        assert ("[x, y]" in one.note) is isinstance(one.value, list)
