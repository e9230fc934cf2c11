"""Plans out of collected requests: their values were said, their references point back, their tools stand by."""

import random
from typing import Any

import pytest

from experts.json_schema.references import references
from experts.training.recipes.made_plans import is_plan
from experts.training.recipes.plan_functions import made
from experts.training.recipes.plan_sources import in_a_row, in_pairs, referring, several_calls
from experts.training.recipes.tasks import Task, tool_name
from tests.experts.training.recipes.tool_files import tool

FIND, PAY = tool("find_shop", place="string"), tool("pay_bill", bill="string", amount="number")


def task(text: str, *calls: tuple[str, dict[str, Any]]) -> Task:
    return Task(text, [FIND, PAY], [{"name": name, "arguments": arguments} for name, arguments in calls])


def single(number: int, text: str) -> Task:
    """Ask for one call of a tool of its own."""
    name = f"calculate_thing{number}"
    return Task(text, [tool(name, of="string"), PAY], [{"name": name, "arguments": {"of": text}}])


SINGLE = [single(number, f"Do number {number}.") for number in range(12)]
POOL = [tool(f"near_thing{number}", of="string") for number in range(20)]


@pytest.mark.parametrize(
    ("value", "number", "name", "written"),
    [
        ("API_call_0", 2, "", "$1"),
        ("API_call_0", 2, "id", "$1.id"),
        ("API_call_1 response", 3, "id", "$2.id"),
        ("API_call_1 response", 3, "", "$2 response"),
        ("the sum of API_call_0 and API_call_1", 3, "id", "the sum of $1.id and $2.id"),
        ("API_call_1", 2, "id", "API_call_1"),
        ("word", 2, "id", "word"),
        (7, 2, "id", 7),
    ],
)
def test_references_are_written_as_plans_have_them(value: object, number: int, name: str, written: object) -> None:
    assert referring(value, number, name) == written


def test_requests_for_several_calls_are_plans_where_every_text_was_said() -> None:
    find, pay = ("find_shop", {"place": "OSLO"}), ("pay_bill", {"amount": 7, "bill": "API_call_0"})
    tasks = [
        task("A shop in Oslo; pay its bill of 7", find, pay),
        task("A shop in Rome; pay its bill of 7", find, pay),
        task("A shop in Oslo", find),
        task("Pay 7 for a shop in Oslo", pay, find),
        task("A shop in Oslo, pay nothing", find, ("pay_bill", {"bill": "API_call_0"})),
    ]
    [plan] = several_calls(tasks)
    assert plan.calls[1] == {"name": "pay_bill", "arguments": {"bill": "$1.bill", "amount": 7}}
    assert list(plan.calls[1]["arguments"]) == ["bill", "amount"]


def test_pairs_stand_beside_the_tools_of_both_and_no_further_ones_of_theirs() -> None:
    plans = [
        Task("One and two", [*one.tools, *other.tools[:1]], [*one.calls, *other.calls])
        for one, other in zip(SINGLE[::2], SINGLE[1::2], strict=True)
    ]
    groups = list(in_pairs(plans, POOL, random.Random(1)))
    assert [len(group) for group in groups] == [2, 2, 2]
    for group in groups:
        names = [{tool_name(one) for one in made.tools} for made in group]
        needed = {call["name"] for made in group for call in made.calls}
        assert names[0] == names[1]
        assert needed <= names[0]
        assert not names[0] - needed - {tool_name(one) for one in POOL}


def test_requests_in_a_row_ask_for_each_of_their_parts_once_and_take_results_on() -> None:
    groups = list(in_a_row(SINGLE, POOL, 30, random.Random(1)))
    assert len(groups) == 30
    plans = [plan for group in groups for plan in group]
    texts = {one.calls[0]["name"]: one.text.rstrip(".") for one in SINGLE}
    for plan in plans:
        assert is_plan(plan)
        own = [step["name"] for step in plan.calls if step["name"] in texts]
        assert len(own) == len(set(own))
        assert all(texts[name].lower() in plan.text.lower() for name in own)
        for number, step in enumerate(plan.calls, start=1):
            is_further = step["name"] in made().further
            assert list(references(step["arguments"])) == ([number - 1] if is_further else [])
    lengths = {len(plan.calls) for plan in plans}
    assert {1, 2, 3, 4, 5} <= lengths


def test_what_cannot_be_put_in_a_row_is_not() -> None:
    long = single(1, "word " * 40)
    talk = Task("And then?", [FIND], [{"name": "find_shop", "arguments": {}}], history=[{"role": "user"}])
    assert list(in_a_row([long, talk, task("Nothing")], POOL, 5, random.Random(1))) == []
