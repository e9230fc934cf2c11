"""Pools of many tools around requests: the request's own, others of its source, and those of other sources.

Requests that share a pool share its index, as a gateway's do.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from router.tools.index import ToolIndex, ToolText, build_index
from router.tools.question import Question, read_question
from router.training.tool_sources import Asked, Source

SHARING: Final = 10  # requests that share a pool

Bools = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True, slots=True)
class Pooled:
    """A request before its pool: `needed` says of each tool whether the request needs it, (T,)."""

    question: Question
    index: ToolIndex
    needed: Bools
    tools: Sequence[ToolText]


def pools(source: Source, others: Sequence[Source], *, sizes: Sequence[int], limit: int, seed: int) -> Iterator[Pooled]:
    """Draw pools for the requests of a source.

    Args:
        source: whose requests.
        others: whose tools fill a pool once the source has no more; those of its group are left out.
        sizes: how many tools a pool has; drawn among these.
        limit: requests at most.
        seed: of the draw.
    """
    rng = random.Random(seed)
    asked = [one for one in source.asked if one.gold <= source.tools.keys()]
    drawn = rng.sample(asked, min(limit, len(asked)))
    strangers = [tool for one in others if one.group != source.group for tool in one.tools.values()]
    for at in range(0, len(drawn), SHARING):
        part = drawn[at : at + SHARING]
        tools = _pool(part, source.tools, strangers, rng.choice(sizes), rng)
        index = build_index(tools)
        names = [tool.name for tool in tools]
        for one in part:
            needed = np.array([name in one.gold for name in names])
            yield Pooled(read_question(one.newest, one.before), index, needed, tools)


def _pool(
    part: Sequence[Asked], own: Mapping[str, ToolText], strangers: Sequence[ToolText], size: int, rng: random.Random
) -> list[ToolText]:
    """Put a pool together, in random order, each name once."""
    gold = sorted(frozenset().union(*(one.gold for one in part)))
    rest = sorted(own.keys() - set(gold))
    names = gold + rng.sample(rest, max(0, min(len(rest), size - len(gold))))
    chosen = {name: own[name] for name in names}
    for tool in rng.sample(strangers, len(strangers)):
        if len(chosen) >= size:
            break
        chosen.setdefault(tool.name, tool)
    tools = list(chosen.values())
    rng.shuffle(tools)
    return tools
