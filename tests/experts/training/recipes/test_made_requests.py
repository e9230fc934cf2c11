"""Requests that are made hold together: what a call has was said, fits its schema, and is asked for where it lacks."""

import json
import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from experts.training.recipes.checks import fits_schema
from experts.training.recipes.made_requests import functions, made_groups, make_request, offer
from experts.training.recipes.tasks import holds, restyle, styles, tool_name

NAMES = [function["name"] for function in functions()]


def test_functions_have_names_of_their_own_and_families_of_several() -> None:
    assert len(NAMES) == len(set(NAMES)) >= 50
    families = [function["family"] for function in functions()]
    assert all(families.count(family) > 1 for family in families)


@given(st.sampled_from(functions()), st.integers(0, 10**6), st.booleans())
def test_a_call_fits_its_schema_and_lacks_nothing_but_what_is_asked_for(
    function: dict[str, Any], seed: int, leave_out: bool
) -> None:
    rng = random.Random(seed)
    offered = offer(function, rng)
    request = make_request(offered, rng, leave_out=leave_out)
    schema = offered.tool["function"]["parameters"]
    lacking = [name for name in schema["required"] if name not in request.call["arguments"]]
    assert len(lacking) <= 1
    assert bool(lacking) == bool(request.missing)
    assert fits_schema(request.call["arguments"], {**schema, "required": []})
    assert "{" not in request.text
    if not leave_out:
        assert not lacking


@given(st.sampled_from(functions()), st.integers(0, 10**6))
def test_words_of_a_call_stand_in_the_request(function: dict[str, Any], seed: int) -> None:
    """Every name, title and number that is copied as it is was said; forms that the description asks for may differ."""
    rng = random.Random(seed)
    offered = offer(function, rng)
    request = make_request(offered, rng, leave_out=False)
    for name, value in request.call["arguments"].items():
        parameter, note = function["parameters"][name], offered.forms[name].note
        if isinstance(value, str) and not note and parameter["kind"] not in {"choice", "currency"}:
            assert value in request.text, (name, value, request.text)


def test_groups_share_their_tools_and_have_every_outcome() -> None:
    groups = list(made_groups(120, random.Random(1)))
    tasks = [task for group in groups for task in group]
    assert all(len({json.dumps(task.tools) for task in group}) == 1 for group in groups)
    assert all(map(holds, tasks))
    called, asked = sum(bool(t.calls) for t in tasks), sum(bool(t.reply) for t in tasks)
    declined = len(tasks) - called - asked
    assert min(called / len(tasks), 2 * asked / len(tasks), 2 * declined / len(tasks)) > 0.25
    assert any(len(task.calls) > 1 for task in tasks)


def test_what_is_declined_belongs_to_a_tool_that_is_not_there() -> None:
    for group in made_groups(60, random.Random(2)):
        offered = {tool_name(tool) for tool in group[0].tools}
        for task in group:
            assert {call["name"] for call in task.calls} <= offered


@given(st.integers(0, 10**6), st.sampled_from(styles()))
def test_names_in_another_manner_still_hold(seed: int, style: object) -> None:
    [group] = made_groups(1, random.Random(seed))
    assert callable(style)
    assert all(holds(restyle(task, style)) for task in group)
