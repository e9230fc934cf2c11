"""Requests that want several calls, some of which need what others find: made, with the plans that they want.

Seven kinds (`plan_makers`), drawn at random and joined: one call; a call for each of several values; a value that
another function has to look up ("the weather in the capital of Norway"), once, twice or twice over; a result that goes
into a further step ("..., then convert it"); stories, which do not name their first step ("Book a dentist in Leeds");
and later steps of such stories by themselves, with the name or number that an earlier one would have found.
`made_plan_groups` puts several requests beside the same tools, so that which tools are there never tells what the plan
is. Some requests are declined, or lack a value, as among other calls.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from experts.json_schema.conformance import conforms
from experts.json_schema.reduction import reduce_schema
from experts.json_schema.references import MAX_STEPS, references, with_references
from experts.training.recipes.made_requests import make_request, punctuated
from experts.training.recipes.plan_functions import (
    asked,
    finding,
    fits,
    kind_of,
    known,
    made,
    named,
    replaceable,
)
from experts.training.recipes.plan_makers import (
    GroupTools,
    Maker,
    each_maker,
    further_maker,
    joined,
    lookup_maker,
    numbered,
    said_maker,
    single_maker,
    story_maker,
)
from experts.training.recipes.sample import Json
from experts.training.recipes.tasks import Task, restyle, tool_name

_LISTED: Final = frozenset({"place", "person", "company", "country", "film", "product", "word", "topic", "scientist"})
_SIZES: Final = (3, 4, 5, 6, 7, 9, 10)  # tools of a group, drawn at random; those that are needed always come
_REQUESTS: Final = 6  # of a group
_JOINED: Final = 0.12  # share of the requests that are two in one
_AS_TEXT: Final = 0.4  # share of the groups whose tools take numbers as text
_DECLINED, _LACKING = 0.35, 0.5  # shares of the groups with a request that is declined, or that lacks a value
_SCALARS: Final = frozenset({"integer", "number", "boolean"})
_COMMON: Final = frozenset(["get", "find", "search", "book", "create", "send", "add", "of", "in", "at", "for", "to"])


def made_plan_groups(count: int, rng: random.Random) -> Iterator[list[Task]]:
    """Make groups of requests that want plans, each beside tools of its own; a task's calls are the plan's steps."""
    for _ in range(count):
        group = _group(rng)
        if rng.random() < _AS_TEXT:
            group = [with_numbers_as_text(task) for task in group]
        yield [task for task in group if is_plan(task)]


def is_plan(task: Task) -> bool:
    """Say whether the steps are such as the tools allow: names, types, order of the arguments, references backwards."""
    schemas = {tool_name(tool): tool["function"].get("parameters") or {} for tool in task.tools}
    if len(schemas) < len(task.tools) or len(task.calls) > MAX_STEPS:
        return False
    return all(
        call["name"] in schemas and _is_step(call["arguments"], schemas[call["name"]], number)
        for number, call in enumerate(task.calls, start=1)
    )


def with_numbers_as_text(task: Task) -> Task:
    """Have every tool take its numbers and flags as strings, as many people's tools do."""
    tools = [_taking_text(tool) for tool in task.tools]
    calls = [
        {**call, "arguments": {key: _text(value) for key, value in call["arguments"].items()}} for call in task.calls
    ]
    return replace(task, tools=tools, calls=calls)


def _taking_text(tool: Json) -> Json:
    function = tool["function"]
    schema = function["parameters"]
    properties = {
        name: {"type": "string", "description": one.get("description", "")} if one.get("type") in _SCALARS else one
        for name, one in schema["properties"].items()
    }
    return {"function": {**function, "parameters": {**schema, "properties": properties}}}


def _text(value: object) -> object:
    return json.dumps(value) if isinstance(value, int | float) else value


def in_order(task: Task) -> Task:
    """Put the arguments of calls into their tools' order: plans are held to it."""
    schemas = {tool_name(tool): tool["function"].get("parameters") or {} for tool in task.tools}
    orders = {name: schema.get("properties") or {} for name, schema in schemas.items()}
    calls = [
        {**call, "arguments": {key: call["arguments"][key] for key in orders[call["name"]] if key in call["arguments"]}}
        for call in task.calls
    ]
    return replace(task, calls=calls)


def _is_step(arguments: Json, schema: Json, number: int) -> bool:
    names = [name for name in schema.get("properties") or () if name in arguments]
    is_whole = names == list(arguments) and set(schema.get("required") or ()) <= set(names)
    is_backward = not any(number <= found <= MAX_STEPS for found in references(arguments))
    return is_whole and is_backward and conforms(arguments, with_references(reduce_schema(schema, "forgiving"), number))


def _group(rng: random.Random) -> list[Task]:
    tools, makers = GroupTools(rng), draw_makers(rng)
    plans = [make(tools, rng) for make in makers]
    while len(plans) < _REQUESTS:
        plan = rng.choice(makers)(tools, rng)
        plans.append(joined(plan, rng.choice(makers)(tools, rng), rng) if rng.random() < _JOINED else plan)
    foreign = rng.choice(_unlike(sorted(asked()), tools.offers))
    others = [name for name in _unlike(sorted(known()), tools.offers) if name != foreign]
    for name in rng.sample(others, max(0, rng.choice(_SIZES) - len(tools.offers))):
        tools.offer(name)
    offered = [offer.tool for offer in rng.sample(list(tools.offers.values()), len(tools.offers))]
    tasks = [Task(punctuated(plan.text, rng), offered, numbered(plan.steps)) for plan in rng.sample(plans, _REQUESTS)]
    if rng.random() < _DECLINED:
        request = make_request(GroupTools(rng).offer(foreign), rng, leave_out=False)
        tasks.append(Task(punctuated(request.text, rng), offered, ()))
    return [*tasks, *_lacking(tools, offered, rng)]


def _lacking(tools: GroupTools, offered: Sequence[Json], rng: random.Random) -> Iterator[Task]:
    """Ask without a required value, in some groups in which no function could find one."""
    names = sorted(asked() & set(tools.offers))
    if names and rng.random() < _LACKING and not made().lookups.keys() & tools.offers:
        request = make_request(tools.offer(rng.choice(names)), rng, leave_out=True)
        if request.missing:
            text = punctuated(request.text, rng)
            yield Task(text, offered, (), reply=request.missing, missing=(request.missing,))


def _unlike(names: Sequence[str], others: Iterable[str]) -> list[str]:
    """List the names that share no word with others, but for words such as "find"."""
    taken = {word for name in others for word in _words(name)}
    return [name for name in names if not _words(name) & taken]


def _words(name: str) -> set[str]:
    return {word.removesuffix("s") for word in name.split("_")} - _COMMON


def draw_makers(rng: random.Random) -> list[Maker]:
    """Draw what the requests of a group are made by: makers whose functions are few together."""
    found: list[Maker] = []
    kind = rng.random()
    if kind < 0.5:
        story = rng.choice(made().stories)
        names = named(story)
        near = [one for one in made().stories if one is not story and named(one) & names]
        found += [story_maker(one) for one in (story, story, *rng.sample(near, min(2, len(near))))]
        found += [maker for one in (story, *near[:1]) if (maker := said_maker(one)) is not None]
    if kind > 0.35:
        found += _chains(rng)
    if rng.random() < 0.5:
        name = rng.choice(sorted(asked()))
        found.append(single_maker(name))
        found += [each_maker(name, one) for one in replaceable(name) if kind_of(name, one) in _LISTED][:1]
    return found


def _chains(rng: random.Random) -> list[Maker]:
    while True:
        name = rng.choice(sorted(asked()))
        pairs = [(one, lookup) for one in replaceable(name) for lookup in finding(kind_of(name, one))]
        if pairs:
            break
    parameter, lookup = rng.choice(pairs)
    found = [lookup_maker(name, [parameter], [lookup]), single_maker(name)]
    others = [one for one, other in pairs if other == lookup and one != parameter]
    if others and rng.random() < 0.7:
        found.append(lookup_maker(name, [parameter, others[0]], [lookup, lookup]))
    [key] = known()[lookup]["parameters"]
    inner = finding(kind_of(lookup, key))
    if inner and rng.random() < 0.4:
        found.append(lookup_maker(name, [parameter], [lookup], deeper=rng.choice(inner)))
    giver = name if name in made().results and rng.random() < 0.6 else rng.choice(sorted(made().results))
    kind = made().results[giver][1]
    taking = [one for one, (_, into) in made().further.items() if one != giver and fits(kind, kind_of(one, into))]
    chosen = rng.sample(taking, min(2, len(taking)))
    found.append(further_maker(giver, chosen[:1]))
    if len(chosen) > 1 and rng.random() < 0.3:
        found.append(further_maker(giver, chosen))
    return found


def restyled_plan(task: Task, style: Callable[[str], str]) -> Task:
    """Write every name in another manner, those of results' fields as well."""
    changed = restyle(task, style)
    fields = re.compile(r"(?<=\$\d)\.(\w+)")
    calls = [
        {
            **call,
            "arguments": {
                key: fields.sub(lambda found: f".{style(found[1])}", value) if isinstance(value, str) else value
                for key, value in call["arguments"].items()
            },
        }
        for call in changed.calls
    ]
    return replace(changed, calls=calls)
