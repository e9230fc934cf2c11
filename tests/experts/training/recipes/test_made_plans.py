"""Made plans are what the grammar admits and what the suite takes for right."""

import json
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experts.conversation.constraints import tool_offer
from experts.conversation.prompts import plan_answer
from experts.conversation.tool_call import Outcome
from experts.conversation.tool_calls import ToolCallReader
from experts.evaluation.suites.plan_graph import graph_of
from experts.json_schema.references import references
from experts.training.recipes.made_plans import (
    in_order,
    is_plan,
    made_plan_groups,
    restyled_plan,
    with_numbers_as_text,
)
from experts.training.recipes.sample import ask, read_tools
from experts.training.recipes.tasks import Task, styles, tool_name

TASKS = [task for group in made_plan_groups(80, random.Random(1)) for task in group]
PLANS = [task for task in TASKS if task.calls]


def schema(**properties: str) -> dict[str, object]:
    typed = {name: {"type": kind} for name, kind in properties.items()}
    return {"type": "object", "properties": typed, "required": list(properties)}


TOOLS = [
    {"function": {"name": "find", "parameters": schema(what="string")}},
    {"function": {"name": "pay", "parameters": schema(to="string", amount="number")}},
]


def task(*calls: tuple[str, dict[str, object]]) -> Task:
    return Task("Pay", TOOLS, [{"name": name, "arguments": arguments} for name, arguments in calls])


@pytest.mark.parametrize("made", PLANS[:60], ids=lambda made: made.text[:40])
def test_the_reader_takes_every_step_as_it_stands(made: Task) -> None:
    conversation = ask(made.text, tools=read_tools(made.tools), plan=True)
    offer = tool_offer(conversation, is_constrained=True)
    assert offer is not None
    reader = ToolCallReader(offer, lambda: "id")
    pieces = [*reader.push(plan_answer(made.calls)), *reader.close(is_cut=False)]
    assert reader.counts == {Outcome.OK: len(made.calls)}
    said = [piece for piece in pieces if not isinstance(piece, str)]
    needed = [list(piece.depends_on.calls) for piece in said if piece.HasField("depends_on")]
    assert needed == [sorted(set(references(call["arguments"]))) for call in made.calls]


def test_groups_share_their_tools_and_have_every_shape() -> None:
    groups = list(made_plan_groups(120, random.Random(2)))
    assert all(len({json.dumps(one.tools) for one in group}) == 1 for group in groups)
    shapes: Counter[str] = Counter()
    for one in (made for group in groups for made in group):
        graph = graph_of([(n, call["name"], call["arguments"]) for n, call in enumerate(one.calls, start=1)])
        is_fan = any(len(needs) > 1 for needs in graph.needs)
        kind = "none" if not graph.tools else "single" if len(graph.tools) == 1 else "fan-in" if is_fan else "chain"
        shapes[kind if kind != "chain" or graph.edges else "parallel"] += 1
    total = shapes.total()
    assert shapes["chain"] / total > 0.3
    assert all(shapes[kind] / total > 0.02 for kind in ("none", "single", "parallel", "fan-in")), shapes


def test_what_is_declined_or_lacks_a_value_is_there_too() -> None:
    assert any(not one.calls and one.asks for one in TASKS)
    assert any(not one.calls and not one.asks for one in TASKS)


@given(st.sampled_from(PLANS), st.sampled_from(styles()))
def test_names_in_another_manner_still_make_a_plan(made: Task, style: object) -> None:
    assert callable(style)
    changed = restyled_plan(made, style)
    assert is_plan(changed)
    assert [set(references(call["arguments"])) for call in changed.calls] == [
        set(references(call["arguments"])) for call in made.calls
    ]


@pytest.mark.parametrize(
    ("made", "holds"),
    [
        (task(("find", {"what": "it"}), ("pay", {"to": "$1.name", "amount": "$1.price"})), True),
        (task(("find", {"what": "a $250 lamp"})), True),
        (task(("pay", {"to": "Ann", "amount": "$1.price"})), False),
        (task(("find", {"what": "$2"}), ("find", {"what": "x"})), False),
        (task(("find", {"what": "it"}), ("pay", {"amount": 1, "to": "$1"})), False),
        (task(("find", {"what": "it"}), ("pay", {"to": "$1"})), False),
        (task(("find", {"what": 3})), False),
        (task(("look", {"what": "it"})), False),
        (task(*[("find", {"what": "it"})] * 13), False),
    ],
)
def test_only_what_can_be_carried_out_is_a_plan(made: Task, *, holds: bool) -> None:
    assert is_plan(made) is holds


def test_numbers_may_be_wanted_as_text() -> None:
    changed = with_numbers_as_text(
        task(("pay", {"to": "Ann", "amount": 2.5}), ("pay", {"to": "$1.to", "amount": "$1"}))
    )
    assert [call["arguments"] for call in changed.calls] == [
        {"to": "Ann", "amount": "2.5"},
        {"to": "$1.to", "amount": "$1"},
    ]
    assert changed.tools[1]["function"]["parameters"]["properties"]["amount"]["type"] == "string"
    assert is_plan(changed)
    kinds = {json.dumps(one.tools).count('"number"') > 0 for one in TASKS}
    assert kinds == {True, False}


def test_arguments_are_put_into_the_tools_order() -> None:
    [call] = in_order(task(("pay", {"amount": 1, "to": "Ann"}))).calls
    assert list(call["arguments"]) == ["to", "amount"]


def test_declined_requests_share_no_name_with_the_tools() -> None:
    for one in TASKS:
        if not one.calls and not one.asks:
            assert one.text
            assert {tool_name(tool) for tool in one.tools}
