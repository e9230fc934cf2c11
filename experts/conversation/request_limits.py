"""How much one request may hold: every limit on its lists and on JSON inside it, by name.

Both doors (`serve.doors.openai_api.bodies`, `serve.validation.rules`) and the replica (`experts.conversation.prompts`,
`experts.conversation.sampling`) refuse by these limits. `experts.json_schema.reduction` limits schemas, and a setting
limits a body's length (`http.max_body_bytes`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MAX_MESSAGES: Final = 2048
MAX_TOOL_CALLS: Final = 128  # of one message
MAX_TOOLS: Final = 128  # that an expert is shown
MAX_OFFERED_TOOLS: Final = 2000  # of a request, where the gateway selects among them
MAX_TOOLSETS: Final = 16  # that a request names
MAX_DOCUMENTS: Final = 64
MAX_STOPS: Final = 4
MAX_STOP_CHARS: Final = 1024  # of one stop string
MAX_TOP_LOGPROBS: Final = 20
MAX_BIASED_TOKENS: Final = 300
MAX_BIAS: Final = 100  # of one token, above or below 0


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a piece of JSON may be.

    Attributes:
        depth: objects and lists inside one another.
        parts: objects, lists and commas between values, all together.
        size: bytes in UTF-8; None where something else bounds it.
    """

    depth: int
    parts: int
    size: int | None = None


BODY: Final = Bounds(depth=256, parts=100_000)
"""A request's whole body. orjson writes 254 levels; any one field of a body lies below three others at least."""
TEXT: Final = Bounds(depth=250, parts=50_000, size=2**20)
"""JSON in a field of its own: a call's arguments, a tool's parameters, a schema. Python reads some 990 levels."""
