"""What an answer may call: each tool's parameters, how many calls, whether they are steps of a plan, what they lack."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from experts.conversation.missing.finder import Missing
from experts.conversation.missing.question import Parameter
from experts.json_schema.reduction import Schema
from experts.json_schema.references import MAX_STEPS, with_references


@dataclass(frozen=True, slots=True)
class ToolOffer:
    """What may be called.

    Attributes:
        schemas: each tool's parameters, reduced, by its name.
        at_most_one: calls after the first are dropped.
        is_constrained: the engine keeps calls to the form and to the schemas.
        is_plan: calls are numbered steps, whose arguments may refer to earlier ones.
        missing: finds what calls lack; None where calls leave as they come.
    """

    schemas: Mapping[str, Schema]
    at_most_one: bool = False
    is_constrained: bool = False
    is_plan: bool = False
    missing: Missing | None = None

    @property
    def most(self) -> float:
        """How many calls may be made."""
        return 1 if self.at_most_one else MAX_STEPS if self.is_plan else math.inf

    def at(self, number: int) -> Mapping[str, Schema]:
        """Return what the arguments of the call of this number must follow, by tool."""
        if not self.is_plan:
            return self.schemas
        return _AtStep(self.schemas, min(number, MAX_STEPS))

    def may_leave(self, name: str, arguments: str) -> bool:
        """Say whether the arguments of a call may leave as far as they have come."""
        return self.missing is None or self.missing.is_settled(name, arguments)

    def lacking(self, name: str, arguments: str) -> list[Parameter]:
        """List what a whole call lacks."""
        return self.missing.of(name, json.loads(arguments)) if self.missing else []


class _AtStep(Mapping[str, Schema]):
    """Schemas as a step of a plan has to follow them, each made when it is asked for."""

    def __init__(self, schemas: Mapping[str, Schema], step: int) -> None:
        self._schemas = schemas
        self._step = step

    def __getitem__(self, name: str) -> Schema:
        return with_references(self._schemas[name], self._step)

    def __iter__(self) -> Iterator[str]:
        return iter(self._schemas)

    def __len__(self) -> int:
        return len(self._schemas)
