"""Requests that want several calls, some of which need what others find: made, with the plans that they want.

Six kinds, drawn at random and joined: one call; a call for each of several values; a value that another function has to
look up ("the weather in the capital of Norway"), once, twice or twice over; a result that goes into a further step
("..., then convert it"); and stories, which do not name their first step ("Book a dentist in Leeds"). Words and
functions come out of `seeds/plans.yaml` and, for single requests, of `made_requests`. `made_plan_groups` puts several
requests beside the same tools, so that which tools are there never tells what the plan is.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from experts.json_schema.conformance import conforms
from experts.json_schema.reduction import reduce_schema
from experts.json_schema.references import MAX_STEPS, references, with_references
from experts.training.recipes.made_requests import Offer, functions, make_request, punctuated
from experts.training.recipes.made_values import Value, draw, draw_alike
from experts.training.recipes.sample import Json
from experts.training.recipes.tasks import Task, restyle, tool_name

_FILE: Final = Path(__file__).parent / "seeds" / "plans.yaml"
_FOUND: Final = "found"  # the kind of a value that nobody says
_STEP: Final = "\0"  # stands for the `$` of a reference until the plan is complete
_REFERENCE: Final = re.compile(rf"{_STEP}(\d+)((?:\.\w+)?)")
_SLOT: Final = re.compile(r"\{(\w+)\}")
_ASKED: Final = re.compile(r"^(what|how|who|when|where|which|is|are|do|has|if|why)\b|[?;:]", re.IGNORECASE)
_ALIKE: Final = {"amount": "number", "degrees": "number"}
_LISTED: Final = frozenset({"place", "person", "company", "country", "film", "product", "word", "topic", "scientist"})
_SIZES: Final = (3, 4, 4, 5, 5, 6, 8)  # tools of a group, drawn at random; those that are needed always come
_REQUESTS: Final = 6  # of a group
_JOINED = 0.2  # share of the requests that are two in one
_DECLINED, _LACKING = 0.35, 0.5  # share of the groups with a request that is declined, or that lacks a value
_THEN: Final = (", then ", ", and ", " and then ", ", and after that ")
_COMMON: Final = frozenset("get find search book create send add of in at for to".split())


@dataclass(frozen=True, slots=True)
class Plan:
    """A request and its steps; their references have `_STEP` for `$`."""

    text: str
    steps: Sequence[Json]


@dataclass(frozen=True, slots=True)
class Made:
    """What the file says, as `made_requests` has functions."""

    functions: Mapping[str, Json]
    lookups: Mapping[str, Json]
    results: Mapping[str, tuple[str, str, Sequence[str]]]
    further: Mapping[str, tuple[str, str]]
    stories: Sequence[tuple[Sequence[str], Sequence[Json]]]


Maker = Callable[["_Tools", random.Random], Plan]


def made_plan_groups(count: int, rng: random.Random) -> Iterator[list[Task]]:
    """Make groups of requests that want plans, each beside tools of its own; the calls of a task are the plan's steps."""
    for _ in range(count):
        yield [task for task in _group(rng) if is_plan(task)]


def is_plan(task: Task) -> bool:
    """Say whether the steps are such as the tools allow: names, types, order of the arguments, references backwards."""
    schemas = {tool_name(tool): tool["function"].get("parameters") or {} for tool in task.tools}
    if len(schemas) < len(task.tools) or len(task.calls) > MAX_STEPS:
        return False
    return all(
        call["name"] in schemas and _is_step(call["arguments"], schemas[call["name"]], number)
        for number, call in enumerate(task.calls, start=1)
    )


def in_order(task: Task) -> Task:
    """Put the arguments of calls into their tools' order: plans are held to it."""
    orders = {tool_name(tool): (tool["function"].get("parameters") or {}).get("properties") or {} for tool in task.tools}
    calls = [
        {**call, "arguments": {key: call["arguments"][key] for key in orders[call["name"]] if key in call["arguments"]}}
        for call in task.calls
    ]
    return replace(task, calls=calls)


def _is_step(arguments: Json, schema: Json, number: int) -> bool:
    names = [name for name in schema.get("properties") or () if name in arguments]
    is_whole = names == list(arguments) and set(schema.get("required") or ()) <= set(names)
    is_backward = all(found < number for found in references(arguments))
    return is_whole and is_backward and conforms(arguments, with_references(reduce_schema(schema, "forgiving"), number))


@cache
def made() -> Made:
    """Read the file."""
    found = yaml.safe_load(_FILE.read_text("utf-8"))
    own = {name: _function(name, about, parameters) for name, (about, parameters) in found["functions"].items()}
    lookups = {
        name: {**_function(name, about, parameters), "field": field, "gives": kind, "said": said}
        for name, (about, parameters, field, kind, said) in found["lookups"].items()
    }
    return Made(own, lookups, found["results"], found["further"], found["stories"])


def _function(name: str, about: str, parameters: Mapping[str, Sequence[str]]) -> Json:
    read = {
        key: {"kind": kind, "about": told, **({"optional": True} if rest else {})}
        for key, (kind, told, *rest) in parameters.items()
    }
    return {"name": name, "about": f"{about}.", "parameters": read}


@cache
def known() -> Mapping[str, Json]:
    """Return every function by name."""
    return {one["name"]: one for one in functions()} | made().functions | made().lookups


class _Tools:
    """The functions of one group; what is of one kind has one form in all of them."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._forms: dict[tuple[str, str], Value] = {}
        self.offers: dict[str, Offer] = {}

    def offer(self, name: str) -> Offer:
        """Offer a function."""
        if name not in self.offers:
            function = known()[name]
            forms = {key: self._form(one["kind"], one.get("of")) for key, one in function["parameters"].items()}
            self.offers[name] = Offer(function, forms)
        return self.offers[name]

    def value(self, name: str, parameter: str) -> Value:
        """Draw a value for a parameter of a function that is offered."""
        offered = self.offer(name)
        one = offered.function["parameters"][parameter]
        return draw_alike(one["kind"], one.get("of"), offered.forms[parameter], self._rng)

    def _form(self, kind: str, of: Any) -> Value:
        if kind == _FOUND:
            return Value("", "")
        return self._forms.setdefault((kind, str(of)), draw(kind, of, self._rng))


def _story(story: tuple[Sequence[str], Sequence[Json]]) -> Maker:
    asks, steps = story

    def make(tools: _Tools, rng: random.Random) -> Plan:
        values: dict[str, Value] = {}
        calls = []
        for step in steps:
            [(name, arguments)] = step.items()
            filled = {}
            for parameter in (one for one in tools.offer(name).function["parameters"] if one in arguments):
                slot = str(arguments[parameter])
                if "$" in slot:
                    filled[parameter] = slot.replace("$", _STEP)
                else:
                    filled[parameter] = values.setdefault(slot, tools.value(name, parameter)).value
            calls.append({"name": name, "arguments": filled})
        return Plan(rng.choice(asks).format_map({slot: value.said for slot, value in values.items()}), calls)

    return make


def _single(name: str) -> Maker:
    def make(tools: _Tools, rng: random.Random) -> Plan:
        request = make_request(tools.offer(name), rng, leave_out=False)
        return Plan(request.text, [request.call])

    return make


def _looked_up(name: str, parameters: Sequence[str], lookups: Sequence[str], *, deeper: str = "") -> Maker:
    """Ask for a function, with one or two of its values told as what other functions find."""

    def make(tools: _Tools, rng: random.Random) -> Plan:
        steps: list[Json] = []
        given = {}
        for parameter, lookup in zip(parameters, lookups, strict=True):
            function, [key] = known()[lookup], known()[lookup]["parameters"]
            value = tools.value(lookup, key)
            if deeper:
                inner, [inner_key] = known()[deeper], known()[deeper]["parameters"]
                first = tools.value(deeper, inner_key)
                steps.append({"name": deeper, "arguments": {inner_key: first.value}})
                said = rng.choice(inner["said"]).format_map({inner_key: first.said})
                value = Value(said, f"{_STEP}{len(steps)}.{inner['field']}")
            steps.append({"name": lookup, "arguments": {key: value.value}})
            said = rng.choice(function["said"]).format_map({key: value.said})
            given[parameter] = Value(said, f"{_STEP}{len(steps)}.{function['field']}")
        request = make_request(tools.offer(name), rng, leave_out=False, given=given)
        for lookup in (*lookups, *filter(None, [deeper])):
            tools.offer(lookup)
        return Plan(request.text, [*steps, request.call])

    return make


def _taken_further(name: str, further: Sequence[str]) -> Maker:
    """Ask for a function, and for steps that take its result on, one after the other or each the first one's."""

    def make(tools: _Tools, rng: random.Random) -> Plan:
        first = _single(name)(tools, rng) if name in _asked() else _story(_alone(name))(tools, rng)
        text, steps = first.text.rstrip(".?"), list(first.steps)
        field, _, said = made().results[name]
        for at, one in enumerate(further):
            asks, taking = made().further[one]
            offered = tools.offer(one)
            slots = {slot: tools.value(one, slot) for slot in _SLOT.findall(asks) if slot != "it"}
            filled = {slot: value.value for slot, value in slots.items()} | {taking: f"{_STEP}1.{field}"}
            order = [key for key in offered.function["parameters"] if key in filled]
            steps.append({"name": one, "arguments": {key: filled[key] for key in order}})
            it = rng.choice((*said, "it", "the result")) if at == 0 else rng.choice(said)
            words = asks.format_map({slot: value.said for slot, value in slots.items()} | {"it": it})
            is_apart = at == 0 and _ASKED.search(text)
            text += f". {rng.choice(('Then ', 'After that, ', ''))}{words}" if is_apart else f"{rng.choice(_THEN)}{words}"
        return Plan(_capital(text), steps)

    return make


def _for_each(name: str, parameter: str) -> Maker:
    """Ask the same of several values."""

    def make(tools: _Tools, rng: random.Random) -> Plan:
        drawn = {value.said: value for value in (tools.value(name, parameter) for _ in range(rng.choice((2, 2, 3, 4))))}
        values = list(drawn.values())
        said = [value.said for value in values]
        joined = f"{', '.join(said[:-1])} and {said[-1]}" if len(said) > 1 else said[0]
        request = make_request(tools.offer(name), rng, leave_out=False, given={parameter: Value(joined, "")})
        steps = [{**request.call, "arguments": {**request.call["arguments"], parameter: one.value}} for one in values]
        return Plan(request.text, steps)

    return make


@cache
def _asked() -> frozenset[str]:
    return frozenset(one["name"] for one in functions())


def _alone(name: str) -> tuple[Sequence[str], Sequence[Json]]:
    """Make a story of one function of this file: its words, then its values."""
    function = known()[name]
    words = function["about"].rstrip(".")
    told = ", ".join(f"{key.replace('_', ' ')} {{{key}}}" for key in function["parameters"])
    return [f"{words}: {told}"], [{name: {key: key for key in function["parameters"]}}]


def _makers(rng: random.Random) -> list[Maker]:
    """Draw what the requests of a group are made by: makers whose functions are few together."""
    found: list[Maker] = []
    kind = rng.random()
    if kind < 0.5:
        story = rng.choice(made().stories)
        names = _named(story)
        near = [one for one in made().stories if one is not story and _named(one) & names]
        found += [_story(one) for one in (story, story, *rng.sample(near, min(2, len(near))))]
    if kind > 0.35:
        found += _chains(rng)
    if rng.random() < 0.5:
        name = rng.choice(sorted(_asked()))
        found.append(_single(name))
        found += [_for_each(name, one) for one in _replaceable(name) if _kind(name, one) in _LISTED][:1]
    return found


def _chains(rng: random.Random) -> list[Maker]:
    while True:
        name = rng.choice(sorted(_asked()))
        pairs = [(one, lookup) for one in _replaceable(name) for lookup in _finding(_kind(name, one))]
        if pairs:
            break
    parameter, lookup = rng.choice(pairs)
    found = [_looked_up(name, [parameter], [lookup]), _single(name)]
    others = [one for one, other in pairs if other == lookup and one != parameter]
    if others and rng.random() < 0.7:
        found.append(_looked_up(name, [parameter, others[0]], [lookup, lookup]))
    [key] = known()[lookup]["parameters"]
    inner = _finding(_kind(lookup, key))
    if inner and rng.random() < 0.4:
        found.append(_looked_up(name, [parameter], [lookup], deeper=rng.choice(inner)))
    giver = name if name in made().results and rng.random() < 0.6 else rng.choice(sorted(made().results))
    kind = made().results[giver][1]
    taking = [one for one, (_, into) in made().further.items() if one != giver and _fits(kind, _kind(one, into))]
    chosen = rng.sample(taking, min(2, len(taking)))
    found.append(_taken_further(giver, chosen[:1]))
    if len(chosen) > 1 and rng.random() < 0.3:
        found.append(_taken_further(giver, chosen))
    return found


def _named(story: tuple[Sequence[str], Sequence[Json]]) -> set[str]:
    return {name for step in story[1] for name in step}


def _kind(name: str, parameter: str) -> str:
    return str(known()[name]["parameters"][parameter]["kind"])


def _replaceable(name: str) -> list[str]:
    """List the required parameters that every request for the function can be given."""
    parameters = known()[name]["parameters"]
    asks = known()[name]["asks"]
    required = [key for key, one in parameters.items() if not one.get("optional")]
    return [key for key in required if "say" in parameters[key] or all(f"{{{key}}}" in ask for ask in asks)]


def _finding(kind: str) -> list[str]:
    return [name for name, one in made().lookups.items() if _ALIKE.get(one["gives"], one["gives"]) == _ALIKE.get(kind, kind)]


def _fits(gives: str, takes: str) -> bool:
    return takes == "text" or _ALIKE.get(gives, gives) == _ALIKE.get(takes, takes)


def _group(rng: random.Random) -> list[Task]:
    tools, makers = _Tools(rng), _makers(rng)
    plans = [make(tools, rng) for make in makers]
    while len(plans) < _REQUESTS:
        plan = rng.choice(makers)(tools, rng)
        plans.append(_joined(plan, rng.choice(makers)(tools, rng), rng) if rng.random() < _JOINED else plan)
    foreign = rng.choice(_unlike(sorted(_asked()), tools.offers))
    others = [name for name in _unlike(sorted(known()), tools.offers) if name != foreign]
    for name in rng.sample(others, max(0, rng.choice(_SIZES) - len(tools.offers))):
        tools.offer(name)
    offered = [offer.tool for offer in rng.sample(list(tools.offers.values()), len(tools.offers))]
    tasks = [Task(punctuated(plan.text, rng), offered, _numbered(plan.steps)) for plan in rng.sample(plans, _REQUESTS)]
    if rng.random() < _DECLINED:
        request = make_request(_Tools(rng).offer(foreign), rng, leave_out=False)
        tasks.append(Task(punctuated(request.text, rng), offered, ()))
    return [*tasks, *_lacking(tools, offered, rng)]


def _lacking(tools: _Tools, offered: Sequence[Json], rng: random.Random) -> Iterator[Task]:
    """Ask without a required value, in some groups in which no function could find one."""
    names = sorted(_asked() & set(tools.offers))
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


def _joined(one: Plan, other: Plan, rng: random.Random) -> Plan:
    behind = len(one.steps)
    steps = [{**step, "arguments": _moved(step["arguments"], behind)} for step in other.steps]
    joint = rng.choice((". Also, ", ". And ", "; ", ". Besides, ", ", and "))
    return Plan(f"{one.text.rstrip('.?!')}{joint}{other.text[:1].lower()}{other.text[1:]}", [*one.steps, *steps])


def _moved(value: Any, behind: int) -> Any:
    return _written(value, lambda found: f"{_STEP}{int(found[1]) + behind}{found[2]}")


def _numbered(steps: Sequence[Json]) -> list[Json]:
    return [{**step, "arguments": _written(step["arguments"], lambda found: f"${found[1]}{found[2]}")} for step in steps]


def _written(value: Any, write: Callable[[re.Match[str]], str]) -> Any:
    """Write every reference of a value anew."""
    if isinstance(value, str):
        return _REFERENCE.sub(write, value)
    if isinstance(value, Mapping):
        return {key: _written(inner, write) for key, inner in value.items()}
    return value


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


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
