"""Pools of many tools around requests: the request's own, others of its source, and those of other sources.

Requests that share a pool share its index, as a gateway's do.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from router.tools.index import Floats, ToolIndex, ToolText, build_index
from router.tools.likeness import likeness
from router.tools.meaning import Meaning, asked_line, line_of, nearness
from router.tools.question import Question, read_question
from router.training.tool_sources import Asked, Source

SHARING: Final = 10  # requests that share a pool

Bools = np.ndarray[Any, np.dtype[np.bool_]]
Encode = Callable[[Sequence[str]], Floats]
"""Turns n texts into vectors of length 1, (n, D)."""


@dataclass(frozen=True, slots=True)
class Pooled:
    """A request before its pool.

    Attributes:
        question: the request.
        index: the pool.
        needed: whether the request needs a tool, (T,).
        tools: the pool's T tools.
        meaning: what an encoder says of both; None: none was asked.
    """

    question: Question
    index: ToolIndex
    needed: Bools
    tools: Sequence[ToolText]
    meaning: Meaning | None = None

    def numbers(self) -> Floats:
        """Compare the request with each tool: `LIKENESS`, and `NEARNESS` where there is a meaning, (T, n)."""
        near = likeness(self.question, self.index)
        return near if self.meaning is None else np.concatenate([near, nearness(self.meaning)], axis=1)


def pools(
    source: Source,
    others: Sequence[Source],
    *,
    sizes: Sequence[int],
    limit: int,
    seed: int,
    encode: Encode | None = None,
) -> Iterator[Pooled]:
    """Draw pools for the requests of a source.

    Args:
        source: whose requests.
        others: whose tools fill a pool once the source has no more; those of its group are left out.
        sizes: how many tools a pool has; drawn among these.
        limit: requests at most.
        seed: of the draw.
        encode: an encoder, which then says what it can of requests and tools.
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
        lines = encode([line_of(tool) for tool in tools]) if encode else None
        for one in part:
            needed = np.array([name in one.gold for name in names])
            meaning = None
            if encode is not None and lines is not None:
                meaning = Meaning(encode([asked_line(one.newest) or "-"])[0], lines)
            yield Pooled(read_question(one.newest, one.before), index, needed, tools, meaning)


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
