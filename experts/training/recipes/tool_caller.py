"""What the tool-caller learns from: collected tasks (`tool_sources`), made ones (`made_requests`), hand-written seeds.

Beside calls it learns plans (`made_plans`) and forms to fill in (`made_forms`). Three outcomes of tasks: calls; a
question, where a required parameter is missing; and plain words, where no tool fits (TinyAgent's and BFCL's lesson).
Tasks come in groups: several requests beside the same tools, among them some that belong to other tools, near ones at
that. So which tools are there never tells the outcome, and training computes what the requests share once
(`experts.training.share`). In some tasks a required value is taken out of the request, and the question for it is the
answer. In a third of the groups names are written in another manner.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from experts.conversation.missing.question import ASKING
from experts.conversation.prompts import calls_answer, plan_answer
from experts.training.recipes import tool_sources
from experts.training.recipes.made_forms import forms_of, made_forms
from experts.training.recipes.made_plans import in_order, is_plan, made_plan_groups, restyled_plan
from experts.training.recipes.made_requests import made_groups
from experts.training.recipes.sample import (
    BadSample,
    Json,
    Sample,
    read_messages,
    read_tools,
)
from experts.training.recipes.seed_files import read_seeds
from experts.training.recipes.tasks import Task, holds, near_tools, restyle, split_name, styles, tool_name
from protos import chat_pb2

NO_TOOL: Final = "None of the tools can do that."
_MADE: Final = 55  # groups
_TASKS: Final = {"bfcl": 140, "seal": 12}  # in groups of up to three
_IRRELEVANT: Final = 50  # BFCL's, beside one tool that does not fit
_NEAR_MISSES: Final = 45  # requests beside nothing but a tool that is near to the right one
_GROUPS: Final = {"sgd": 22, "snips": 7, "xsid": 3}
_TOGETHER: Final = (1, 1, 1, 2, 3)  # tasks of a group, drawn at random
_BESIDE: Final = (0, 0, 1, 2)  # other tools of a group
_FOREIGN: Final = (0, 0, 0, 1)  # requests of a group that none of its tools is for
_PLAIN: Final = 0.4  # share of these that no tool at all is for
_MOST_CALLS: Final = 2
_CUT: Final = 0.3  # share of the requests with one call that are asked again without a value
_OF_SERVICES: Final = 9  # requests beside the same services or intents
_HANDFUL: Final = 40  # tasks among which foreign ones are sought
_NOTHING: Final = "Hello!"
_TURNS_BEFORE: Final = 2  # of a dialogue, at most: more take their tokens from what can be learnt
_RESTYLED: Final = 0.33
_PLANS: Final = 80  # groups
_COLLECTED_PLANS: Final = 40
_MADE_FORMS: Final = 220
_FORMS: Final = {"bfcl": 60, "seal": 50, "sgd": 60, "snips": 70, "xsid": 60}
_REQUESTED_FORMS: Final = 80  # of made requests
_MOST_STEPS: Final = 4
_SEEDS: Final = 20  # of the hand-written rows, where there is data


def samples(data: Path | None, seed: int) -> list[Sample]:
    """Build every sample; without `data`, out of the seeds alone.

    Raises:
        RowError: a data file cannot be read.
        BadSample: a row has another shape.
    """
    rng = random.Random(f"tool-caller {seed}")
    made = read_seeds("tool-caller")
    if data is not None:
        made = rng.sample(made, _SEEDS)
        for group in _groups(data, rng):
            style = rng.choice(styles()) if rng.random() < _RESTYLED else None
            made += [_sample(task) for task in _styled(group, style) if holds(task)]
        made += [_sample(task, is_plan=True) for group in _plan_groups(data, rng) for task in group]
        made += _forms(data / "tool-caller", rng)
    return made


def _forms(folder: Path, rng: random.Random) -> Iterator[Sample]:
    """Yield forms to fill in: made sentences, made requests, and collected requests."""
    yield from made_forms(_MADE_FORMS, rng)
    yield from forms_of([task for group in made_groups(_REQUESTED_FORMS, rng) for task in group], _REQUESTED_FORMS, rng)
    for source, count in _FORMS.items():
        found = [task for task in tool_sources.read_tasks(folder, source) if len(task.history) <= _TURNS_BEFORE]
        yield from forms_of(found, count, rng)


def _plan_groups(data: Path, rng: random.Random) -> Iterator[list[Task]]:
    """Yield requests that want plans: made ones, and BFCL's calls as plans whose steps need nothing of each other."""
    for group in made_plan_groups(_PLANS, rng):
        style = rng.choice(styles()) if rng.random() < _RESTYLED else None
        yield [restyled_plan(task, style) for task in group] if style else group
    bfcl = [in_order(task) for task in tool_sources.read_tasks(data / "tool-caller", "bfcl") if task.calls]
    found = [task for task in bfcl if 1 < len(task.calls) <= _MOST_STEPS and is_plan(task)]
    yield from ([task] for task in rng.sample(found, min(len(found), _COLLECTED_PLANS)))


def _groups(data: Path, rng: random.Random) -> Iterator[list[Task]]:
    folder = data / "tool-caller"
    bfcl, seal = tool_sources.read_tasks(folder, "bfcl"), tool_sources.read_tasks(folder, "seal")
    called = [task for task in bfcl if task.calls]
    collected = [*_drawn(called, _TASKS["bfcl"], rng), *_drawn(seal, _TASKS["seal"], rng)]
    plain = tool_sources.plain_requests(data, rng, len(collected))
    yield from _joined(rng.sample(collected, len(collected)), plain, rng)
    yield from ([task] for task in _drawn((task for task in bfcl if not task.calls), _IRRELEVANT, rng))
    yield from _near_misses(called, tool_sources.tools_of([*bfcl, *seal]), rng)
    dialogues = [task for task in tool_sources.read_tasks(folder, "sgd") if len(task.history) <= _TURNS_BEFORE]
    yield from _of_services(dialogues, _GROUPS["sgd"], rng)
    yield from _of_intents(tool_sources.read_tasks(folder, "snips"), _GROUPS["snips"], rng)
    yield from _of_intents(tool_sources.read_tasks(folder, "xsid"), _GROUPS["xsid"], rng)
    yield from made_groups(_MADE, rng)


def _drawn(tasks: Iterable[Task], count: int, rng: random.Random) -> list[Task]:
    found = [task for task in tasks if len(task.calls) <= _MOST_CALLS and holds(task)]
    return rng.sample(found, min(count, len(found)))


def _near_misses(tasks: Sequence[Task], pool: Sequence[Json], rng: random.Random) -> Iterator[list[Task]]:
    """Put requests beside one or two tools that share words with them and are not theirs."""
    for task in rng.sample(tasks, min(len(tasks), _NEAR_MISSES)):
        near = near_tools(task.text, pool, map(tool_name, task.tools), rng.choice((1, 2, 3, 3)), rng)
        yield [replace(task, tools=near, calls=())]


def _joined(tasks: Sequence[Task], plain: list[str], rng: random.Random) -> Iterator[list[Task]]:
    """Put tasks of several rows beside each other's tools, with requests that none of these is for."""
    pool = tool_sources.tools_of(tasks)
    left = list(tasks)
    while left:
        group = [left.pop() for _ in range(min(len(left), rng.choice(_TOGETHER)))]
        needed = {call["name"] for task in group for call in task.calls}
        offered = {tool_name(tool): tool for task in group for tool in task.tools}
        right = [tool for name, tool in offered.items() if name in needed or len(offered) <= len(group)]
        near = near_tools(group[0].text, pool, offered, rng.choice(_BESIDE) if right else 1, rng)
        tools = rng.sample([*right, *near], len(right) + len(near))
        names = {tool_name(tool) for tool in tools}
        made = [replace(task, tools=tools) for task in group]
        made += [cut for task in made if rng.random() < _CUT and (cut := without_a_value(task, rng)) is not None]
        for _ in range(rng.choice(_FOREIGN)):
            made.append(Task(_foreign(tasks, names, plain, rng), tools, ()))
        yield made


def _foreign(tasks: Sequence[Task], names: set[str], plain: list[str], rng: random.Random) -> str:
    """Draw a request that none of the tools is for: one of no tool at all, or one whose tools are not there."""
    if plain and rng.random() < _PLAIN:
        return plain.pop()
    drawn = rng.sample(tasks, min(len(tasks), _HANDFUL))
    absent = (task for task in drawn if task.calls and not {tool_name(t) for t in task.tools} & names)
    found = next(absent, None)
    return found.text if found else _NOTHING


def _of_services(tasks: Sequence[Task], count: int, rng: random.Random) -> Iterator[list[Task]]:
    """Group SGD's turns by their services; first turns that ask for other services belong to no tool."""
    by_tools: dict[tuple[str, ...], list[Task]] = {}
    for task in tasks:
        by_tools.setdefault(tuple(sorted(map(tool_name, task.tools))), []).append(task)
    openers = [task for task in tasks if not task.history and (task.calls or task.reply.endswith("?"))]
    for names in rng.sample(list(by_tools), min(count, len(by_tools))):
        found = by_tools[names]
        tools = rng.sample(list(found[0].tools), len(names))
        asking = [task for task in found if task.asks]
        chosen = rng.sample(asking, min(len(asking), _OF_SERVICES // 2))
        others = [task for task in found if not task.asks]
        chosen += rng.sample(others, min(len(others), _OF_SERVICES - len(chosen)))
        group = [replace(task, tools=tools) for task in chosen]
        kinds = {split_name(name).split()[-1] for name in names}
        drawn = rng.sample(openers, min(len(openers), _HANDFUL))
        strange = [one for one in drawn if not kinds & _kinds(one)][: rng.choice((0, 1, 1))]
        yield group + [replace(one, tools=tools, calls=(), reply="") for one in strange]


def _kinds(task: Task) -> set[str]:
    """Return what a task's tools are about: the last words of their names, and their singulars."""
    words = {split_name(tool_name(tool)).split()[-1] for tool in task.tools}
    return words | {word.removesuffix("s") for word in words} | {f"{word}s" for word in words}


def _of_intents(tasks: Sequence[Task], count: int, rng: random.Random) -> Iterator[list[Task]]:
    """Offer a few intents, and ask for these and for some that are not offered."""
    by_name: dict[str, list[Task]] = {}
    for task in tasks:
        by_name.setdefault(task.calls[0]["name"], []).append(task)
    for _ in range(count):
        names = rng.sample(list(by_name), min(len(by_name), rng.randint(2, 3)))
        tools = [by_name[name][0].tools[0] for name in names]
        inside = [task for name in names for task in rng.sample(by_name[name], min(3, len(by_name[name])))]
        # Two names may be one intent in two data sets' words ("set_alarm", "show_alarms"): only far ones are foreign.
        words = {word.removesuffix("s") for name in names for word in split_name(name).split()}
        outside = [name for name in by_name if not words & {w.removesuffix("s") for w in split_name(name).split()}]
        foreign = [rng.choice(by_name[name]) for name in rng.sample(outside, min(2, len(outside)))]
        chosen = [replace(task, tools=tools) for task in inside]
        yield chosen + [replace(task, tools=tools, calls=()) for task in foreign]


def without_a_value(task: Task, rng: random.Random) -> Task | None:
    """Take a required value out of a request with one call, and ask for it; None where that leaves no clean request."""
    if len(task.calls) != 1 or task.history:
        return None
    [call] = task.calls
    tool = next((tool for tool in task.tools if tool_name(tool) == call["name"]), None)
    required = (tool["function"].get("parameters") or {}).get("required") or () if tool else ()
    for name in rng.sample(list(required), len(required)):
        value = call["arguments"].get(name)
        words = rf"\s(?:in|for|at|to|from|of|on|by|with|near|about)\s+(?:the\s+)?{re.escape(str(value))}(?![\w'’,])"
        found = list(re.finditer(words, task.text, re.IGNORECASE))
        if value is None or len(str(value)) < 2 or len(found) != 1 or task.text.count(str(value)) != 1:
            continue
        text = task.text[: found[0].start()] + task.text[found[0].end() :]
        if len(text.split()) >= 4:
            return replace(task, text=text, calls=(), reply=f"Please tell me the {split_name(name)}.", missing=(name,))
    return None


def _styled(group: Sequence[Task], style: Callable[[str], str] | None) -> list[Task]:
    """Write the names of a whole group in one manner, or of none where that would break one of its tasks."""
    changed = [restyle(task, style) for task in group] if style else []
    return changed if changed and all(map(holds, changed)) else list(group)


def _words(task: Task) -> str:
    return f"{ASKING} {task.reply}" if task.reply and task.asks else task.reply or NO_TOOL


def _sample(task: Task, *, is_plan: bool = False) -> Sample:
    try:
        written = plan_answer if is_plan else calls_answer
        answer = written(task.calls) if task.calls else _words(task)
        messages = read_messages([*task.history, {"role": "user", "content": task.text}])
        return Sample(chat_pb2.Conversation(messages=messages, tools=read_tools(task.tools), plan=is_plan), answer)
    except (KeyError, TypeError) as error:
        raise BadSample(f"a task has another shape: {type(error).__name__}") from None
