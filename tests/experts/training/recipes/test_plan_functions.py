"""The file of functions for plans says nothing that cannot be carried out."""

import random
import re

import pytest

from experts.training.recipes.made_values import draw
from experts.training.recipes.plan_functions import (
    FOUND,
    Story,
    alone,
    asked,
    finding,
    fits,
    kind_of,
    known,
    made,
    named,
    replaceable,
)

SLOT = re.compile(r"\{(\w+)\}")
STORIES = made().stories


def test_names_are_unique_across_both_files() -> None:
    own, lookups = set(made().functions), set(made().lookups)
    assert not own & lookups
    assert not asked() & (own | lookups)
    assert set(known()) == own | lookups | asked()


@pytest.mark.parametrize("name", sorted({*made().functions, *made().lookups}))
def test_every_kind_can_be_drawn(name: str) -> None:

    for parameter in known()[name]["parameters"].values():
        if parameter["kind"] != FOUND:
            assert draw(parameter["kind"], parameter.get("of"), random.Random(1)).said


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story[0][0])
def test_a_story_says_every_value_and_refers_backwards(story: Story) -> None:
    asks, steps = story
    slots: set[str] = set()
    for number, step in enumerate(steps, start=1):
        [(name, arguments)] = step.items()
        parameters = known()[name]["parameters"]
        required = {key for key, one in parameters.items() if not one.get("optional")}
        assert required <= set(arguments) <= set(parameters)
        for key, slot in arguments.items():
            if "$" in slot:
                assert all(int(found) < number for found in re.findall(r"\$(\d+)", slot))
            else:
                assert parameters[key]["kind"] != FOUND, f"nobody can say {key}"
                slots.add(slot)
    assert all(set(SLOT.findall(ask)) == slots for ask in asks)


def test_what_one_call_finds_another_uses() -> None:
    used = {name for story in STORIES for name in named(story)}
    later = {name for story in STORIES for step in story[1][1:] for name in step}
    needy = {name for name in used if any(one["kind"] == FOUND for one in known()[name]["parameters"].values())}
    assert needy <= later


def test_results_and_further_steps_are_of_known_functions() -> None:
    assert set(made().results) <= set(known())
    for name, (asks, taking) in made().further.items():
        slots = set(SLOT.findall(asks)) - {"it"}
        parameters = known()[name]["parameters"]
        required = {key for key, one in parameters.items() if not one.get("optional")}
        assert required <= slots | {taking} <= set(parameters)
        assert "{it}" in asks


def test_every_kind_of_result_has_a_further_step_and_every_lookup_a_use() -> None:
    kinds = {kind_of(name, taking) for name, (_, taking) in made().further.items()}
    assert all(any(fits(kind, takes) for takes in kinds) for _, kind, _ in made().results.values())
    wanted = {kind_of(name, parameter) for name in asked() for parameter in replaceable(name)}
    reachable = {lookup for kind in wanted for lookup in finding(kind)}
    assert len(reachable) > 0.8 * len(made().lookups)


def test_an_amount_is_a_number_and_a_text_may_be_anything() -> None:
    assert fits("amount", "number")
    assert fits("number", "text")
    assert not fits("text", "number")
    assert "price_of" in finding("number")


def test_a_function_alone_names_all_its_parameters() -> None:
    asks, [step] = alone("multiply")
    assert asks == ["Multiply two numbers: a {a}, b {b}"]
    assert step == {"multiply": {"a": "a", "b": "b"}}
