"""The functions that requests for plans are made of: those of `seeds/plans.yaml` beside `made_requests`' own.

`made` reads the file, `known` has every function by name. The rest says whose result can stand in whose parameter:
a *lookup* finds a value of a kind, so it fits any parameter of that kind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from experts.training.recipes.made_requests import functions
from experts.training.recipes.sample import Json

FOUND: Final = "found"
"""The kind of a value that nobody says."""
_FILE: Final = Path(__file__).parent / "seeds" / "plans.yaml"
_ALIKE: Final = {"amount": "number", "degrees": "number"}

Story = tuple[Sequence[str], Sequence[Json]]
"""Ways to ask for something, and the steps that it takes."""


@dataclass(frozen=True, slots=True)
class Made:
    """What the file says; its head explains the parts. Functions are in the form of `made_requests`."""

    functions: Mapping[str, Json]
    lookups: Mapping[str, Json]
    results: Mapping[str, tuple[str, str, Sequence[str]]]
    further: Mapping[str, tuple[str, str]]
    stories: Sequence[Story]


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


def _function(name: str, about: str, parameters: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    read = {
        key: {"kind": kind, "about": told, **({"optional": True} if rest else {})}
        for key, (kind, told, *rest) in parameters.items()
    }
    return {"name": name, "about": f"{about}.", "parameters": read}


@cache
def known() -> Mapping[str, Json]:
    """Return every function by name."""
    return {**{one["name"]: one for one in functions()}, **made().functions, **made().lookups}


@cache
def asked() -> frozenset[str]:
    """Return the names of the functions that have words of their own to be asked for."""
    return frozenset(one["name"] for one in functions())


def named(story: Story) -> set[str]:
    """Return the functions of a story."""
    return {name for step in story[1] for name in step}


def alone(name: str) -> Story:
    """Make a story of one function of the file: its words, then its values."""
    function = known()[name]
    words = function["about"].rstrip(".")
    told = ", ".join(f"{key.replace('_', ' ')} {{{key}}}" for key in function["parameters"])
    return [f"{words}: {told}"], [{name: {key: key for key in function["parameters"]}}]


def kind_of(name: str, parameter: str) -> str:
    """Return the kind of a function's parameter."""
    return str(known()[name]["parameters"][parameter]["kind"])


def replaceable(name: str) -> list[str]:
    """List the required parameters that every request for the function can be given."""
    parameters = known()[name]["parameters"]
    asks = known()[name]["asks"]
    required = [key for key, one in parameters.items() if not one.get("optional")]
    return [key for key in required if "say" in parameters[key] or all(f"{{{key}}}" in ask for ask in asks)]


def finding(kind: str) -> list[str]:
    """List the lookups whose result is of a kind."""
    return [name for name, one in made().lookups.items() if _alike(one["gives"], kind)]


def fits(gives: str, takes: str) -> bool:
    """Say whether a result of one kind can stand in a parameter of another; a text may say anything."""
    return takes == "text" or _alike(gives, takes)


def _alike(one: str, other: str) -> bool:
    return _ALIKE.get(one, one) == _ALIKE.get(other, other)
