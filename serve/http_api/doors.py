"""The HTTP doors that generate, as data: which path speaks which wire form."""

from collections.abc import Mapping
from typing import Final

from serve.anthropic_api.forms import COUNT_TOKENS, MESSAGES
from serve.doors.wire_form import ErrorForm, WireForm
from serve.openai_api.errors import OPENAI_ERRORS
from serve.openai_api.forms import CHAT, COMPLETIONS

Doors = Mapping[str, WireForm]
"""Wire forms by path."""

DOORS: Final[Doors] = {
    "/v1/chat/completions": CHAT,
    "/v1/completions": COMPLETIONS,
    "/v1/messages": MESSAGES,
    "/v1/messages/count_tokens": COUNT_TOKENS,
}


def errors_at(path: str, doors: Doors) -> ErrorForm:
    """Return the form of errors at a path: its door's, or that of the door above it; OpenAI's anywhere else."""
    while path and path not in doors:
        path = path.rpartition("/")[0]
    return doors[path].errors if path else OPENAI_ERRORS
