"""Graphs of plans: isomorphic or not, also where the reference implementations' scorers are wrong."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experts.evaluation.suites.plan_graph import Graph, edit_distance, graph_of, is_isomorphic


def plan(*steps: tuple[str, Any]) -> Graph:
    return graph_of([(number, tool, arguments) for number, (tool, arguments) in enumerate(steps, start=1)])


CHAIN = plan(("a", {}), ("b", {"x": "$1"}), ("c", {"x": "$2"}))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        # Independent steps in another order.
        (
            plan(("a", {}), ("b", {}), ("c", {"x": "$1", "y": "$2"})),
            plan(("b", {}), ("a", {}), ("c", {"x": "$1", "y": "$2"})),
            True,
        ),
        # All references of a string count, not only the first one.
        (plan(("a", {}), ("b", {}), ("c", {"x": "$1 and $2"})), plan(("a", {}), ("b", {}), ("c", {"x": "$1"})), False),
        # `${1}` is one, also deep inside lists and objects.
        (plan(("a", {}), ("c", {"x": [[{"y": "${1.z}"}]]})), plan(("a", {}), ("c", {"x": "$1"})), True),
        # A price and a number without a step are none.
        (plan(("a", {}), ("c", {"x": "$1.50 of $7"})), plan(("a", {}), ("c", {})), True),
        (plan(("a", {}), ("c", {"x": "$2"})), plan(("a", {}), ("c", {})), True),
        # The same tools, hung up differently.
        (CHAIN, plan(("a", {}), ("b", {"x": "$1"}), ("c", {"x": "$1"})), False),
        # Equal tools that what depends on them tells apart: names of dependencies alone would call these the same.
        (
            plan(("a", {}), ("a", {}), ("b", {"x": "$1"}), ("b", {"x": "$1"}), ("c", {"x": "$3"})),
            plan(("a", {}), ("a", {}), ("b", {"x": "$1"}), ("b", {"x": "$2"}), ("c", {"x": "$3"})),
            False,
        ),
        (
            plan(("a", {}), ("a", {}), ("b", {"x": "$2"}), ("b", {"x": "$1"}), ("c", {"x": "$4"})),
            plan(("a", {}), ("a", {}), ("b", {"x": "$1"}), ("b", {"x": "$2"}), ("c", {"x": "$3"})),
            True,
        ),
        (CHAIN, plan(("a", {}), ("b", {"x": "$1"}), ("d", {"x": "$2"})), False),
        (CHAIN, plan(("a", {}), ("b", {"x": "$1"})), False),
        (plan(), plan(), True),
    ],
)  # fmt: skip
def test_which_plans_are_the_same(one: Graph, other: Graph, same: bool) -> None:
    assert is_isomorphic(one, other) is is_isomorphic(other, one) is same
    assert (edit_distance(one, other) == 0) is same


STEPS = st.lists(st.tuples(st.sampled_from("ab"), st.sets(st.integers(0, 4))), max_size=5)


def graph(steps: list[tuple[str, set[int]]]) -> Graph:
    return Graph(
        tuple(tool for tool, _ in steps),
        tuple(frozenset(n for n in needs if n < at) for at, (_, needs) in enumerate(steps)),
    )


def by_hand(one: Graph, other: Graph) -> bool:
    """Try every pairing."""
    count = len(one.tools)
    return count == len(other.tools) and any(
        all(one.tools[at] == other.tools[order[at]] for at in range(count))
        and all(frozenset(order[need] for need in one.needs[at]) == other.needs[order[at]] for at in range(count))
        for order in itertools.permutations(range(count))
    )


@given(STEPS, STEPS)
def test_every_pairing_agrees(one: list[tuple[str, set[int]]], other: list[tuple[str, set[int]]]) -> None:
    assert is_isomorphic(graph(one), graph(other)) is by_hand(graph(one), graph(other))


@given(STEPS, STEPS)
def test_edits_are_a_distance(one: list[tuple[str, set[int]]], other: list[tuple[str, set[int]]]) -> None:
    ours, theirs = graph(one), graph(other)
    distance = edit_distance(ours, theirs)
    assert distance == edit_distance(theirs, ours)
    assert (distance == 0) is is_isomorphic(ours, theirs)
    assert distance <= len(one) + len(other) + ours.edges + theirs.edges


def test_edits_are_counted() -> None:
    assert edit_distance(CHAIN, plan(("a", {}), ("b", {"x": "$1"}), ("d", {"x": "$2"}))) == 1
    assert edit_distance(CHAIN, plan(("a", {}), ("b", {"x": "$1"}))) == 2  # a node and its edge
    assert edit_distance(CHAIN, plan()) == 5


def test_levels_are_the_longest_path() -> None:
    assert (CHAIN.levels, plan(("a", {}), ("b", {})).levels, plan().levels) == (3, 1, 0)


def test_many_equal_steps_end() -> None:
    wide = plan(*[("a", {})] * 12, ("b", {"x": " ".join(f"${n}" for n in range(1, 13))}))
    assert is_isomorphic(wide, wide)
    assert edit_distance(wide, plan(*[("a", {})] * 11, ("c", {}))) > 0
