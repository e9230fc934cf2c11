"""What makes a request that wants a plan, with its steps: one maker for each kind (`made_plans` lists them).

A maker offers the functions that it needs among its group's, draws values, and writes the request and the calls. Until
requests are joined, references to earlier steps have a mark in the place of `$`.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from experts.training.recipes.made_requests import Offer, make_request
from experts.training.recipes.made_values import draw, draw_alike
from experts.training.recipes.plan_functions import FOUND, Story, alone, asked, known, made
from experts.training.recipes.said_value import Value
from experts.training.recipes.sample import Json

_STEP: Final = "\0"  # stands for the `$` of a reference until the plan is complete
_REFERENCE: Final = re.compile(rf"{_STEP}(\d+)((?:\.\w+)?)")
_SLOT: Final = re.compile(r"\{(\w+)\}")
_ASKED: Final = re.compile(r"^(what|how|who|when|where|which|is|are|do|has|if|why)\b|[?;:]", re.IGNORECASE)
_LETTERS: Final = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz0123456789"  # of an id
_TELLING: Final = ("{} {}", "{} is {}", "the {} {}", "{}: {}", "{} '{}'")
_WITH: Final = ("{}, {}", "{} ({})", "{} with {}", "{}: {}", "{} for {}")
_THEN: Final = (", then ", ", and ", " and then ", ", and after that ")


@dataclass(frozen=True, slots=True)
class Plan:
    """A request and its steps; their references have `_STEP` for `$`."""

    text: str
    steps: Sequence[Json]


Maker = Callable[["GroupTools", random.Random], Plan]


class GroupTools:
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
        if kind == FOUND:
            return Value("", "")
        return self._forms.setdefault((kind, str(of)), draw(kind, of, self._rng))


def story_maker(story: Story) -> Maker:
    """Tell a story: what is asked for need not name every step."""
    asks, steps = story

    def make(tools: GroupTools, rng: random.Random) -> Plan:
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


def single_maker(name: str) -> Maker:
    """Ask for one call of a function."""

    def make(tools: GroupTools, rng: random.Random) -> Plan:
        request = make_request(tools.offer(name), rng, leave_out=False)
        return Plan(request.text, [request.call])

    return make


def said_maker(story: Story) -> Maker | None:
    """Ask for a story's later steps alone, with what earlier ones would find told in the request; None where none does.

    Beside the story itself it teaches that a reference stands for what is not said, and only for that.
    """
    later = [step for step in story[1] if _takes_found(step)]
    if not later:
        return None

    def make(tools: GroupTools, rng: random.Random) -> Plan:
        texts, calls = [], []
        for step in rng.sample(later, rng.randint(1, len(later))):
            [(name, arguments)] = step.items()
            function = tools.offer(name).function
            values = {
                key: _told(key, rng) if one["kind"] == FOUND else tools.value(name, key)
                for key, one in function["parameters"].items()
                if key in arguments
            }
            told = rng.choice((", ", " and ")).join(
                rng.choice(_TELLING).format(key.replace("_", " "), value.said) for key, value in values.items()
            )
            texts.append(rng.choice(_WITH).format(function["about"].rstrip("."), told))
            calls.append({"name": name, "arguments": {key: value.value for key, value in values.items()}})
        first, *rest = texts
        text = first + "".join(rng.choice(_THEN) + one[:1].lower() + one[1:] for one in rest)
        return Plan(text, calls)

    return make


def _takes_found(step: Json) -> bool:
    [(name, arguments)] = step.items()
    return any(known()[name]["parameters"][key]["kind"] == FOUND for key in arguments)


def _told(key: str, rng: random.Random) -> Value:
    """Draw what would be found: an id in one of many manners, or a name."""
    if key.endswith(("name", "title", "person", "dish", "restaurant")):
        return draw(rng.choice(("hotel", "restaurant", "title", "song", "person")), None, rng)
    if rng.random() < 0.4:
        return draw("code", None, rng)
    said = "".join(rng.choice(_LETTERS) for _ in range(rng.randint(5, 11)))
    said = said if rng.random() < 0.6 else str(rng.randint(100, 99_999_999))
    return Value(said, said)


def lookup_maker(name: str, parameters: Sequence[str], lookups: Sequence[str], *, deeper: str = "") -> Maker:
    """Ask for a function, with one or two of its values told as what other functions find."""

    def make(tools: GroupTools, rng: random.Random) -> Plan:
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


def further_maker(name: str, further: Sequence[str]) -> Maker:
    """Ask for a function, and for steps that take its result on, one after the other or each the first one's."""

    def make(tools: GroupTools, rng: random.Random) -> Plan:
        first = single_maker(name)(tools, rng) if name in asked() else story_maker(alone(name))(tools, rng)
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
            joint = f". {rng.choice(('Then ', 'After that, ', ''))}" if is_apart else rng.choice(_THEN)
            text += joint + words
        return Plan(_capital(text), steps)

    return make


def each_maker(name: str, parameter: str) -> Maker:
    """Ask the same of several values."""

    def make(tools: GroupTools, rng: random.Random) -> Plan:
        drawn = {value.said: value for value in (tools.value(name, parameter) for _ in range(rng.choice((2, 2, 3, 4))))}
        values = list(drawn.values())
        said = [value.said for value in values]
        joined = f"{', '.join(said[:-1])} and {said[-1]}" if len(said) > 1 else said[0]
        request = make_request(tools.offer(name), rng, leave_out=False, given={parameter: Value(joined, "")})
        steps = [{**request.call, "arguments": {**request.call["arguments"], parameter: one.value}} for one in values]
        return Plan(request.text, steps)

    return make


def joined(one: Plan, other: Plan, rng: random.Random) -> Plan:
    """Ask for two things at once."""
    behind = len(one.steps)
    steps = [{**step, "arguments": _moved(step["arguments"], behind)} for step in other.steps]
    joint = rng.choice((". Also, ", ". And ", "; ", ". Besides, ", ", and "))
    return Plan(f"{one.text.rstrip('.?!')}{joint}{other.text[:1].lower()}{other.text[1:]}", [*one.steps, *steps])


def _moved(value: Any, behind: int) -> Any:
    return _written(value, lambda found: f"{_STEP}{int(found[1]) + behind}{found[2]}")


def numbered(steps: Sequence[Json]) -> list[Json]:
    """Write the references of a whole plan as its answer has them."""
    return [
        {**step, "arguments": _written(step["arguments"], lambda found: f"${found[1]}{found[2]}")} for step in steps
    ]


def _written(value: Any, write: Callable[[re.Match[str]], str]) -> Any:
    """Write every reference of a value anew."""
    if isinstance(value, str):
        return _REFERENCE.sub(write, value)
    if isinstance(value, Mapping):
        return {key: _written(inner, write) for key, inner in value.items()}
    return value


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
