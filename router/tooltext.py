"""What the router reads of offered tools: name, parameters' names and description, a line a tool.

The gateway (`serve.route_query`) and data files (`features.query_from_openai`) make the text here; `toolfit` and
`toolmatch` compare it with the request. Every length is capped, and a tool gets its even share of the whole.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

TOOL_TEXT_CHARS = 2_400
LEAST_SHARE = 48
MAX_PARAMETERS = 12
PARAMETER_CHARS = 40
PARAMETERS_SHARE = 0.4  # of a tool's characters, at most
SCHEMA_CHARS = 8_000  # a longer schema is not read


@dataclass(frozen=True, slots=True)
class Offer:
    """One offered tool, as far as routing reads it."""

    name: str
    description: str
    parameters: tuple[str, ...] = ()


def tool_text(offers: Sequence[Offer]) -> str:
    """Write `name: description | parameters` lines, at most `TOOL_TEXT_CHARS` characters, each tool an even share."""
    share = max(LEAST_SHARE, TOOL_TEXT_CHARS // max(1, len(offers)))
    return "\n".join(_line(offer, share) for offer in offers[: TOOL_TEXT_CHARS // LEAST_SHARE])[:TOOL_TEXT_CHARS]


def parts_of(line: str) -> tuple[str, str, str]:
    """Split a line of `tool_text` into name, description and parameters."""
    head, _, parameters = line.partition(" | ")
    name, _, description = head.partition(":")
    return name, description, parameters


def parameter_names(schema: object) -> tuple[str, ...]:
    """Name the parameters that a JSON Schema declares, at most `MAX_PARAMETERS`; a schema of another form has none."""
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    if not isinstance(properties, Mapping):
        return ()
    return tuple(str(name)[:PARAMETER_CHARS] for name, _ in zip(properties, range(MAX_PARAMETERS), strict=False))


@lru_cache(maxsize=1024)
def parameters_in(schema_json: str) -> tuple[str, ...]:
    """Read the same out of JSON text; remembered, since callers offer the same tools again."""
    if not schema_json or len(schema_json) > SCHEMA_CHARS:
        return ()
    try:
        return parameter_names(json.loads(schema_json))
    except ValueError:
        return ()


def _line(offer: Offer, share: int) -> str:
    """Write one tool's line; a long description leaves the parameters their part."""
    named = " ".join(offer.parameters)[: int(share * PARAMETERS_SHARE)]
    head = f"{offer.name}: {' '.join(offer.description.split())}".replace(" | ", " ")
    return f"{head[: share - len(named) - 4]} | {named}" if named else head[: share - 1]
