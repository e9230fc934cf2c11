"""Plans out of requests that others have collected: of several calls each, and of one call each, put in a row.

Their tools are of many hands, where those of `made_plans` are of one. Seal-Tools writes `API_call_0` where a step takes
the first one's result. Requests put in a row go on, now and then, with a step that takes what one of them finds.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from experts.json_schema.references import MAX_STEPS
from experts.training.recipes.made_plans import in_order, is_plan
from experts.training.recipes.made_requests import punctuated
from experts.training.recipes.plan_functions import made
from experts.training.recipes.plan_makers import GroupTools, further_step
from experts.training.recipes.sample import Json
from experts.training.recipes.tasks import Task, near_tools, tool_name, unlike

_API_CALL: Final = re.compile(r"\bAPI_call_(\d+)\b")
_ALONE: Final = re.compile(r"API_call_(\d+)(?:\s+(?:response|result|output))?")
_LONGEST: Final = 160  # letters of a request that is put in a row
_THINGS: Final = (4, 5)  # collected requests of a group
_DRAWN: Final = 15  # requests among which as many of different tools are sought
_FURTHER: Final = 2  # functions of a group that may take a result on, beside one that takes any
_PARTS: Final = (1, 2, 2, 3, 3, 4)  # collected requests in each one of a group
_TAKEN_ON: Final = 0.4  # share of the parts whose result goes into a further step
_BESIDE: Final = (0, 1, 2)  # other tools of a group
_NEXT: Final = (". Then, ", ". After that, ", ". Also, ", ". Next, ", ", then ", "; ", " and ", ". ")
_LAST: Final = (". Finally, ", ", and finally ", ". Lastly, ", *_NEXT)
_ON: Final = (", then ", " and ", ". Then ", ", and then ", ". Then, ")
_IT: Final = ("the result", "the result", "it", "that")
_TEXTS: Final = frozenset({"text", "content", "message", "summary"})  # parameters that any result can stand in
_KEEPS_CAPITAL: Final = re.compile(r"I\b|.[A-Z]")
_GIVES_NUMBER: Final = re.compile(r"calculat|comput|area|price|distance|sum|mean|rate|count|cost", re.IGNORECASE)


def several_calls(tasks: Iterable[Task]) -> list[Task]:
    """List the requests for several calls as plans, but for those with a text in a call that nobody said."""
    found = [in_order(_referring(task)) for task in tasks if 1 < len(task.calls) <= MAX_STEPS]
    return [task for task in found if is_plan(task) and _is_said(task)]


def referring(value: object, number: int, name: str = "") -> object:
    """Write Seal-Tools' references in a step's value as plans have them; what names no earlier call stays text.

    Args:
        value: of any kind; only text has references.
        number: the step's, from 1.
        name: the field of the result that is meant, where one should be named.
    """

    def reference(found: re.Match[str]) -> str:
        earlier = int(found[1]) + 1
        return f"${earlier}{name and f'.{name}'}" if earlier < number else found[0]

    if not isinstance(value, str):
        return value
    alone = _ALONE.fullmatch(value) if name else None
    return reference(alone) if alone else _API_CALL.sub(reference, value)


def _referring(task: Task) -> Task:
    calls = [
        {**call, "arguments": {key: referring(value, number, key) for key, value in call["arguments"].items()}}
        for number, call in enumerate(task.calls, start=1)
    ]
    return replace(task, calls=calls)


def _is_said(task: Task) -> bool:
    spoken = _plain(task.text)
    texts = [value for call in task.calls for value in call["arguments"].values() if isinstance(value, str)]
    return all(value.startswith("$") or _plain(value) in spoken for value in texts)


def _plain(text: str) -> str:
    return re.sub(r"[\W_]+", " ", text.lower()).strip()


def in_pairs(plans: Sequence[Task], pool: Sequence[Json], rng: random.Random) -> Iterator[list[Task]]:
    """Put plans in twos beside the tools that both need, and a few near ones."""
    drawn = rng.sample(plans, len(plans))
    for group in zip(drawn[::2], drawn[1::2], strict=False):
        names = {call["name"] for task in group for call in task.calls}
        needed = unlike((tool for task in group for tool in task.tools if tool_name(tool) in names), set())
        tools = _beside(group[0].text, needed, pool, rng)
        yield [one for task in group if is_plan(one := replace(task, tools=tools))]


def in_a_row(tasks: Sequence[Task], pool: Sequence[Json], count: int, rng: random.Random) -> Iterator[list[Task]]:
    """Make groups of requests that ask for some of what several collected ones ask for, beside the tools of all.

    Args:
        tasks: collected requests; those with one call and few words are taken.
        pool: tools that may stand beside theirs.
        count: groups.
        rng: draws everything.
    """
    short = [in_order(one) for one in tasks if len(one.calls) == 1 and not one.history and len(one.text) <= _LONGEST]
    texts = sorted(name for name, (_, taking) in made().further.items() if taking in _TEXTS)
    for _ in range(count if short else 0):
        things = _of_different_tools(rng.sample(short, min(len(short), _DRAWN)), rng.choice(_THINGS))
        further = GroupTools(rng)
        for name in (rng.choice(texts), *rng.sample(sorted(made().further), _FURTHER)):
            further.offer(name)
        own = [tool for one in things for tool in one.tools if tool_name(tool) == one.calls[0]["name"]]
        needed = [*own, *(offer.tool for offer in further.offers.values())]
        tools = _beside(things[0].text, needed, pool, rng)
        group = [_row(rng.sample(things, min(len(things), parts)), tools, further, rng) for parts in _PARTS]
        yield [task for task in group if is_plan(task)]


def _beside(text: str, needed: Sequence[Json], pool: Sequence[Json], rng: random.Random) -> list[Json]:
    """Mix the tools that are needed with a few that are near to a request."""
    near = near_tools(text, pool, map(tool_name, needed), rng.choice(_BESIDE), rng)
    return rng.sample([*needed, *near], len(needed) + len(near))


def _of_different_tools(tasks: Sequence[Task], count: int) -> list[Task]:
    return list({task.calls[0]["name"]: task for task in tasks}.values())[:count]


def _row(parts: Sequence[Task], tools: Sequence[Json], further: GroupTools, rng: random.Random) -> Task:
    text, steps = "", []
    for at, part in enumerate(parts):
        joint = rng.choice(_LAST if at == len(parts) - 1 else _NEXT) if at else ""
        words = part.text.strip().rstrip(".?! ")
        text += joint + (words if joint in {"", ". "} or _KEEPS_CAPITAL.match(words) else words[:1].lower() + words[1:])
        name = part.calls[0]["name"]
        steps.append(part.calls[0])
        taking = [one for one in further.offers if made().further[one][1] in _TEXTS or _GIVES_NUMBER.search(name)]
        if taking and rng.random() < _TAKEN_ON:
            asked, step = further_step(further, rng.choice(taking), f"${len(steps)}.result", rng.choice(_IT))
            text += rng.choice(_ON) + asked
            steps.append(step)
    return Task(punctuated(text, rng), tools, steps)
