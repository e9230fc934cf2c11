"""What the router sees of a request, and the numbers it makes of it.

The gateway builds a `RouteQuery` from its own request type (or `query_from_openai` does, for data files and the CLI);
`gate.Gate` and the trainer call `featurize`. Every length is capped before any per-character work, so the cost of one
query is bounded whatever is sent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from router.hashing import BUCKETS, HashedText, hash_text
from router.structure import STRUCTURE_NAMES, Floats, structure
from router.window import PREVIOUS_CHARS, Window, normalise, split_window

FEATURE_VERSION = 1  # raise whenever a prompt's features change: artefacts of another version are refused
TOOL_TEXT_CHARS = 2_000
DOCUMENT_WEIGHT = 0.35
PREVIOUS_WEIGHT = 0.3

__all__ = ["BUCKETS", "FEATURE_VERSION", "STRUCTURE_NAMES", "Features", "RouteQuery", "Turn", "featurize"]


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of the conversation; `role` is system, user, assistant or tool."""

    role: str
    text: str


@dataclass(frozen=True, slots=True)
class RouteQuery:
    """Everything routing may look at.

    Attributes:
        turns: the conversation, oldest first.
        tool_names: functions the caller offers, in order.
        tool_text: their names and descriptions, capped at `TOOL_TEXT_CHARS`.
        has_tools: tools are offered and `tool_choice` is not "none".
        response_format: OpenAI's `response_format.type`, or None.
    """

    turns: tuple[Turn, ...]
    tool_names: tuple[str, ...] = ()
    tool_text: str = ""
    has_tools: bool = False
    response_format: str | None = None


@dataclass(frozen=True, slots=True)
class Features:
    """One query as numbers: a sparse hashed part and a dense structure part.

    Attributes:
        indices: buckets, (n,) int64, may repeat.
        values: their weights, (n,) float32.
        dense: structure features in `STRUCTURE_NAMES`' order, (S,) float32, each about 0..1.
    """

    indices: np.ndarray[Any, np.dtype[np.int64]]
    values: Floats
    dense: Floats


def featurize(query: RouteQuery) -> Features:
    """Turn a query into numbers; deterministic across machines and processes."""
    window = window_of(query)
    parts = [hash_text(window.own, 1.0, lead=True)]
    if window.document:
        parts.append(hash_text(window.document, DOCUMENT_WEIGHT))
    if window.previous:
        parts.append(hash_text(window.previous, PREVIOUS_WEIGHT))
    joined = parts[0] if len(parts) == 1 else HashedText.join(parts)
    return Features(joined.indices, joined.values, structure(window, query.response_format, len(query.turns)))


def window_of(query: RouteQuery) -> Window:
    """Cut out the words that routing reads: the last user turn, and a little of the one before it."""
    said = [turn.text for turn in query.turns[-8:] if turn.role == "user"]
    window = split_window(said[-1] if said else "")
    if len(said) > 1:
        return window.with_previous(normalise(said[-2][:PREVIOUS_CHARS]))
    return window


def query_from_openai(
    messages: Sequence[Mapping[str, Any]],
    tools: Sequence[Mapping[str, Any]] | None = None,
    tool_choice: object = None,
    response_format: Mapping[str, Any] | None = None,
) -> RouteQuery:
    """Build a query from OpenAI-form dicts, as data files and the CLI hold them; unknown parts are left out."""
    functions = [cast(Mapping[str, Any], tool.get("function") or tool) for tool in tools or ()]
    names = tuple(str(function.get("name", "")) for function in functions)
    return RouteQuery(
        turns=tuple(Turn(str(message.get("role", "user")), _text(message.get("content"))) for message in messages),
        tool_names=names,
        tool_text=tool_text(names, [str(function.get("description") or "") for function in functions]),
        has_tools=bool(names) and tool_choice != "none",
        response_format=str(response_format["type"]) if response_format and "type" in response_format else None,
    )


def tool_text(names: Sequence[str], descriptions: Sequence[str]) -> str:
    """Join names and descriptions into at most `TOOL_TEXT_CHARS` characters, each tool getting an even share."""
    share = max(40, TOOL_TEXT_CHARS // max(1, len(names)))
    lines = (f"{name}: {text}"[:share] for name, text in zip(names, descriptions, strict=True))
    return "\n".join(lines)[:TOOL_TEXT_CHARS]


def _text(content: object) -> str:
    """Read a message's `content`: a string, or a list of parts of which the text ones count."""
    if isinstance(content, str):
        return content
    if not isinstance(content, Sequence):
        return ""
    parts = [part.get("text") for part in content if isinstance(part, Mapping)]
    return "\n".join(part for part in parts if isinstance(part, str))
