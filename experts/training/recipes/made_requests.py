"""Requests that are made, not collected: functions out of a file, values drawn at random, and the calls they want.

In the manner of TinyAgent's and NinjaLLM's generators, with templates in place of a large model: a request is a core
sentence with clauses for the other parameters, in any order. What is known at the making is checked at the end by
`experts.training.recipes.tasks`: each call fits its tool's schema. Three outcomes: calls; a question, where a required
parameter was left out; and no call, where only other functions are at hand, those of the same family among them.
Several requests come beside the same tools, since training computes what they share once.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from experts.training.recipes.made_values import draw, draw_alike
from experts.training.recipes.said_value import Value
from experts.training.recipes.tasks import Task

_FILE: Final = Path(__file__).parent / "seeds" / "functions.yaml"
_SLOT: Final = re.compile(r"\{(\w+)\}")
_QUESTION: Final = re.compile(r"^(what|how|who|when|where|which|is|are|do|has|if|why)\b", re.IGNORECASE)
_OPENINGS: Final = ("", "", "", "", "", "Please: ", "Hi! ", "Hey, ", "Hello. ", "One thing: ")
_ENDINGS: Final = (".", ".", "", ", please.", "!", " Thanks.")
_JOINTS: Final = (" Also: ", " And then: ", " Besides: ", " After that: ")
_OPTIONAL: Final = 0.35  # share of the optional parameters that are said
_SIZES: Final = (1, 2, 3, 3, 4)  # tools of a group, drawn at random
_REQUESTS: Final = 7  # of a group
_ASK, _DECLINE, _TWO = 0.36, 0.18, 0.06  # shares of the outcomes, and of the calls that come in twos


@dataclass(frozen=True, slots=True)
class Offer:
    """A function as a group offers it: every parameter's form is settled by an example of its values."""

    function: Mapping[str, Any]
    forms: Mapping[str, Value]

    @property
    def tool(self) -> dict[str, Any]:
        """Return it as OpenAI's `tools` have it."""
        parameters = self.function["parameters"]
        properties = {}
        for name, parameter in parameters.items():
            about = ", ".join(filter(None, [parameter["about"], self.forms[name].note]))
            properties[name] = {**self.forms[name].schema, "description": about}
        required = [name for name, parameter in parameters.items() if not parameter.get("optional")]
        schema = {"type": "object", "properties": properties, "required": required}
        return {
            "function": {"name": self.function["name"], "description": self.function["about"], "parameters": schema}
        }


@dataclass(frozen=True, slots=True)
class Request:
    """One function, asked for once.

    Attributes:
        missing: what to ask for; empty where the call can be made.
    """

    text: str
    call: Mapping[str, Any]
    missing: str = ""


def made_groups(count: int, rng: random.Random) -> Iterator[list[Task]]:
    """Make groups of requests, each beside tools of its own."""
    for _ in range(count):
        yield _group(rng)


@cache
def functions() -> tuple[Mapping[str, Any], ...]:
    """Read the functions' file."""
    return tuple(yaml.safe_load(_FILE.read_text("utf-8")))


def offer(function: Mapping[str, Any], rng: random.Random) -> Offer:
    """Settle the forms of a function's parameters."""
    parameters = function["parameters"].items()
    return Offer(function, {name: draw(parameter["kind"], parameter.get("of"), rng) for name, parameter in parameters})


def make_request(
    offered: Offer, rng: random.Random, *, leave_out: bool, given: Mapping[str, Value] | None = None
) -> Request:
    """Ask for a function; with `leave_out` a required parameter is not said, if there is one that can be.

    `given` are values of required parameters that stand in place of drawn ones.
    """
    parameters = offered.function["parameters"]
    values = {
        name: draw_alike(one["kind"], one.get("of"), offered.forms[name], rng) for name, one in parameters.items()
    } | dict(given or {})
    core = _core(offered.function, rng, leave_out=leave_out)
    inside = set(_SLOT.findall(core))
    addable = [name for name, one in parameters.items() if not one.get("optional") and name not in inside]
    left_out = rng.choice(addable) if leave_out and addable else None
    said = [name for name in addable if name != left_out]
    said += [name for name, one in parameters.items() if one.get("optional") and rng.random() < _OPTIONAL]
    clauses = [_clause(parameters[name], values[name], rng) for name in rng.sample(said, len(said))]
    text = " ".join([core.format_map({name: value.said for name, value in values.items()}), *clauses])
    arguments = {name: values[name].value for name in parameters if name in inside or name in said}
    missing = str(parameters[left_out].get("ask", f"What is the {left_out}?")) if left_out else ""
    return Request(text, {"name": offered.function["name"], "arguments": arguments}, missing)


def _core(function: Mapping[str, Any], rng: random.Random, *, leave_out: bool) -> str:
    """Choose a core sentence: one to which everything required can be added, or one that lacks something."""
    parameters = function["parameters"]
    required = {name for name, parameter in parameters.items() if not parameter.get("optional")}

    def is_fit(core: str) -> bool:
        absent = required - set(_SLOT.findall(core))
        return bool(absent) if leave_out else all("say" in parameters[name] for name in absent)

    cores = [core for core in function["asks"] if is_fit(core)]
    return str(rng.choice(cores or [core for core in function["asks"] if required <= set(_SLOT.findall(core))]))


def _clause(parameter: Mapping[str, Any], value: Value, rng: random.Random) -> str:
    return str(rng.choice(parameter.get("say") or ["{}"])).replace("{}", value.said)


def _group(rng: random.Random) -> list[Task]:
    """Offer functions of one family and of others, and make requests of them and of some that are not offered."""
    families = sorted({one["family"] for one in functions()})
    family = rng.choice(families)
    near = [one for one in functions() if one["family"] == family]
    far = [one for one in functions() if one["family"] != family]
    size = rng.choice(_SIZES)
    chosen = rng.sample(near, min(size, len(near), rng.randint(1, 3)))
    chosen += rng.sample(far, size - len(chosen))
    offers = [offer(one, rng) for one in rng.sample(chosen, len(chosen))]
    absent = [one for one in near if one not in chosen] or rng.sample(far, 2)
    absent = [*absent, *rng.sample([one for one in far if one not in chosen], 2)]
    tools = [offered.tool for offered in offers]
    return [_task(offers, absent, tools, rng) for _ in range(_REQUESTS)]


def _task(
    offers: Sequence[Offer], absent: Sequence[Mapping[str, Any]], tools: Sequence[Any], rng: random.Random
) -> Task:
    chance = rng.random()
    if chance < _DECLINE:
        request = make_request(offer(rng.choice(absent), rng), rng, leave_out=rng.random() < _ASK)
        return Task(punctuated(request.text, rng), tools, ())
    first = make_request(rng.choice(offers), rng, leave_out=chance < _DECLINE + _ASK)
    if first.missing or rng.random() >= _TWO:
        calls = () if first.missing else (first.call,)
        lacking = (first.missing,) if first.missing else ()
        return Task(punctuated(first.text, rng), tools, calls, reply=first.missing, missing=lacking)
    second = make_request(rng.choice(offers), rng, leave_out=False)
    text = f"{punctuated(first.text, rng)}{rng.choice(_JOINTS)}{punctuated(second.text, rng)}"
    return Task(text, tools, (first.call, second.call))


def punctuated(text: str, rng: random.Random) -> str:
    """Begin and end a request as people do."""
    opening = rng.choice(_OPENINGS)
    ending = "?" if _QUESTION.match(text) else rng.choice(_ENDINGS)
    words = text[:1].lower() + text[1:] if opening and rng.random() < 0.5 else text
    return f"{opening}{words}{'' if words.endswith(('?', '.', '!')) else ending}"
