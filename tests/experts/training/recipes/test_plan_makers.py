"""Each maker writes a request whose values were said, and steps that refer to the right ones."""

import random
from typing import Any

import pytest

from experts.training.recipes.plan_makers import (
    GroupTools,
    Maker,
    Plan,
    each_maker,
    further_maker,
    joined,
    lookup_maker,
    numbered,
    said_maker,
    single_maker,
    story_maker,
)

BOOK = (
    ["Find a dentist in {city} and book {date} at {time}"],
    [
        {"find_dentist": {"city": "city"}},
        {"book_appointment": {"doctor_name": "$1.doctor_name", "date": "date", "time": "time"}},
    ],
)


def make(maker: Maker, seed: int = 1) -> tuple[str, list[Any], GroupTools]:
    rng = random.Random(seed)
    tools = GroupTools(rng)
    plan = maker(tools, rng)
    return plan.text, numbered(plan.steps), tools


@pytest.mark.parametrize("seed", range(5))
def test_a_story_uses_one_value_wherever_its_slot_stands(seed: int) -> None:
    text, [find, book], tools = make(story_maker(BOOK), seed)
    assert find["arguments"]["city"].split(",")[0] in text
    assert list(book["arguments"]) == ["doctor_name", "date", "time"]
    assert book["arguments"]["doctor_name"] == "$1.doctor_name"
    assert set(tools.offers) == {"find_dentist", "book_appointment"}


@pytest.mark.parametrize("seed", range(8))
def test_what_a_story_would_find_may_be_said(seed: int) -> None:
    maker = said_maker(BOOK)
    assert maker is not None
    text, [book], tools = make(maker, seed)
    assert book["name"] == "book_appointment"
    assert book["arguments"]["doctor_name"] in text
    assert "$" not in str(book["arguments"])
    assert set(tools.offers) == {"book_appointment"}


def test_a_story_that_finds_nothing_has_nothing_to_say() -> None:
    assert said_maker((["Find a dentist in {city}"], [{"find_dentist": {"city": "city"}}])) is None


def test_a_single_call_refers_to_nothing() -> None:
    text, [call], _ = make(single_maker("circle_area"))
    assert call["name"] == "circle_area"
    assert "$" not in str(call["arguments"])
    assert str(int(call["arguments"]["radius"])) in text.replace(",", "")


def test_a_value_is_looked_up_first() -> None:
    text, [lookup, call], tools = make(lookup_maker("get_weather", ["city"], ["capital_of"]))
    assert lookup["name"] == "capital_of"
    assert lookup["arguments"]["country"] in text
    assert call["arguments"]["city"] == "$1.capital"
    assert {"capital_of", "get_weather"} <= set(tools.offers)


def test_two_values_are_looked_up_by_steps_of_their_own() -> None:
    _, steps, _ = make(lookup_maker("search_flights", ["origin", "destination"], ["home_of", "capital_of"]))
    assert [step["name"] for step in steps] == ["home_of", "capital_of", "search_flights"]
    assert steps[2]["arguments"]["origin"] == "$1.city"
    assert steps[2]["arguments"]["destination"] == "$2.capital"


def test_a_lookup_may_need_another() -> None:
    text, steps, _ = make(lookup_maker("get_weather", ["city"], ["capital_of"], deeper="country_of"))
    assert [step["name"] for step in steps] == ["country_of", "capital_of", "get_weather"]
    assert steps[1]["arguments"] == {"country": "$1.country"}
    assert steps[2]["arguments"]["city"] == "$2.capital"
    assert str(steps[0]["arguments"]["city"]).split(",")[0] in text


def test_further_steps_take_the_first_result() -> None:
    text, steps, _ = make(further_maker("circle_area", ["multiply", "square_root"]))
    assert [step["name"] for step in steps] == ["circle_area", "multiply", "square_root"]
    assert steps[1]["arguments"]["a"] == steps[2]["arguments"]["number"] == "$1.area"
    assert "the area" in text


def test_a_call_for_each_value() -> None:
    text, steps, _ = make(each_maker("stock_price", "company"), 3)
    values = [step["arguments"]["company"] for step in steps]
    assert len(set(values)) == len(values) >= 2
    assert all(value in text for value in values)


def test_a_join_moves_the_references_of_the_second_plan() -> None:
    rng = random.Random(1)
    tools = GroupTools(rng)
    one, other = (story_maker(BOOK)(tools, rng) for _ in range(2))
    both = numbered(joined(one, joined(one, other, rng), rng).steps)
    assert [step["arguments"]["doctor_name"] for step in both[1::2]] == [f"${n}.doctor_name" for n in (1, 3, 5)]


def test_a_price_is_no_reference() -> None:
    one, other = Plan("a", []), Plan("b", [{"name": "f", "arguments": {"x": "$5"}}])
    [step] = numbered(joined(one, other, random.Random(1)).steps)
    assert step["arguments"] == {"x": "$5"}


def test_one_kind_has_one_form_in_a_group() -> None:
    tools = GroupTools(random.Random(4))
    dates = [tools.offer(name).forms[key] for name, key in (("find_flights", "date"), ("find_bus", "departure_date"))]
    assert dates[0] is dates[1]
    found = tools.offer("cancel_order").tool["function"]["parameters"]["properties"]["order_id"]
    assert found["type"] == "string"
