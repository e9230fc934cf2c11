"""A value as people say it, and as a call has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

STRING: Final[dict[str, Any]] = {"type": "string"}
INTEGER: Final[dict[str, Any]] = {"type": "integer"}
NUMBER: Final[dict[str, Any]] = {"type": "number"}


@dataclass(frozen=True, slots=True)
class Value:
    """What is said, what the call has, the value's schema, and what the parameter's description adds about its form."""

    said: str
    value: Any  # JSON
    schema: Mapping[str, Any] = field(default_factory=lambda: STRING)
    note: str = ""


def enumerated(items: list[str]) -> str:
    """Say several, one after the other."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
