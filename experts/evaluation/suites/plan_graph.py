"""A plan as a graph: one node a step, named by its tool; an edge from each step to every later one that needs it.

LLMCompiler and TinyAgent count a plan as right when its graph is isomorphic to the reference's (arXiv 2312.04511).
Their scorer sees the first reference of a string only, one level of lists, and no `${1}`, and it tells equal tools
apart by what they depend on alone. Here all references count, and isomorphism is decided exactly, duplicates included.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from experts.json_schema.references import references

_T = TypeVar("_T")

MAX_ASSIGNMENTS = 20_000
"""Partial assignments that the edit distance tries; beyond them it is an upper bound."""


@dataclass(frozen=True, slots=True)
class Graph:
    """A plan: the tool of each step, in order, and for each step the places of those that it needs."""

    tools: tuple[str, ...]
    needs: tuple[frozenset[int], ...]

    @property
    def edges(self) -> int:
        """How many dependencies it has."""
        return sum(map(len, self.needs))

    @property
    def levels(self) -> int:
        """How many steps its longest path has."""
        depth: list[int] = []
        for needed in self.needs:
            depth.append(1 + max((depth[place] for place in needed), default=0))
        return max(depth, default=0)


def graph_of(steps: Sequence[tuple[int, str, Any]]) -> Graph:
    """Make the graph of steps (number, tool, arguments); a number that no earlier step has is no reference."""
    places: dict[int, int] = {}
    needs = []
    for place, (number, _, arguments) in enumerate(steps):
        needs.append(frozenset(places[found] for found in references(arguments) if found in places))
        places[number] = place
    return Graph(tuple(tool for _, tool, _ in steps), tuple(needs))


def is_isomorphic(one: Graph, other: Graph) -> bool:
    """Say whether nodes of equal names pair off so that edges do, too."""
    if len(one.tools) != len(other.tools) or one.edges != other.edges:
        return False
    colours, others = _colours(one), _colours(other)
    if Counter(colours) != Counter(others):
        return False
    paired: list[int] = []

    def extend() -> bool:
        """Pair the next node; those that it needs come before it and are paired."""
        place = len(paired)
        if place == len(colours):
            return True
        needed = {paired[earlier] for earlier in one.needs[place]}
        for candidate, colour in enumerate(others):
            if colour == colours[place] and candidate not in paired and other.needs[candidate] == needed:
                paired.append(candidate)
                if extend():
                    return True
                paired.pop()
        return False

    return extend()


def _colours(graph: Graph) -> list[Any]:
    """Tell nodes apart by name and neighbours, as far as these are told apart (Weisfeiler and Leman 1968)."""
    colours: list[Any] = list(graph.tools)
    needed_by = [[later for later, needs in enumerate(graph.needs) if place in needs] for place in range(len(colours))]
    for _ in range(min(len(colours), 4)):
        near = [
            (colours[place], _bag(colours, graph.needs[place]), _bag(colours, needed_by[place]))
            for place in range(len(colours))
        ]
        colours = [hash(one) for one in near]
    return colours


def _bag(colours: Sequence[Any], places: Collection[int]) -> tuple[str, ...]:
    return tuple(sorted(map(str, (colours[place] for place in places))))


def edit_distance(one: Graph, other: Graph) -> int:
    """Count the nodes and edges to add, remove or rename until two plans are the same.

    Exact up to some seven steps; with `MAX_ASSIGNMENTS` tries an upper bound beyond.
    """
    best = len(one.tools) + len(other.tools) + one.edges + other.edges
    left = MAX_ASSIGNMENTS

    def extend(paired: list[int | None], cost: int) -> None:
        nonlocal best, left
        left -= 1
        if cost >= best or left < 0:
            return
        place = len(paired)
        if place == len(one.tools):
            best = min(best, cost + _unpaired(other, paired))
            return
        free = [at for at in range(len(other.tools)) if at not in paired]
        for candidate in sorted(free, key=lambda at: one.tools[place] != other.tools[at]):
            step = int(one.tools[place] != other.tools[candidate]) + _edges(one, other, paired, candidate)
            extend([*paired, candidate], cost + step)
        extend([*paired, None], cost + 1 + len(one.needs[place]))

    extend([], 0)
    return best


def _edges(one: Graph, other: Graph, paired: Sequence[int | None], candidate: int) -> int:
    """Count edges between a new pair and the pairs before it that only one side has."""
    place = len(paired)
    found = 0
    for earlier, partner in enumerate(paired):
        if partner is None:
            found += earlier in one.needs[place]
            continue
        forth, back = partner in other.needs[candidate], candidate in other.needs[partner]
        found += ((earlier in one.needs[place]) != forth) + back
    return found


def _unpaired(other: Graph, paired: Sequence[int | None]) -> int:
    """Count what is left of the other plan: its nodes without a partner, and their edges."""
    taken = {at for at in paired if at is not None}
    nodes = set(range(len(other.tools))) - taken
    return len(nodes) + sum(1 for at, needs in enumerate(other.needs) for need in needs if at in nodes or need in nodes)


def shared(one: Counter[_T], other: Counter[_T]) -> int:
    """Count what two bags have in common."""
    return sum((one & other).values())
