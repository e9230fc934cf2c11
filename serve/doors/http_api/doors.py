"""The HTTP doors that generate, as data: which path speaks which wire form."""

from collections.abc import Mapping
from typing import Final

from serve.doors.anthropic_api.errors import ANTHROPIC_ERRORS
from serve.doors.anthropic_api.forms import COUNT_TOKENS, MESSAGES
from serve.doors.openai_api.errors import OPENAI_ERRORS
from serve.doors.openai_api.forms import CHAT, COMPLETIONS
from serve.doors.openai_api.responses.form import responses_forms
from serve.doors.openai_api.responses.store import ResponseStore
from serve.doors.wire_form import ErrorForm, WireForm

Doors = Mapping[str, WireForm]
"""Wire forms by path."""

_ERRORS: Final[Mapping[str, ErrorForm]] = {"/v1/messages": ANTHROPIC_ERRORS}


def doors(responses: ResponseStore) -> Doors:
    """List the doors of a gateway that keeps responses in that store."""
    answers, counts = responses_forms(responses)
    return {
        "/v1/chat/completions": CHAT,
        "/v1/completions": COMPLETIONS,
        "/v1/responses": answers,
        "/v1/responses/input_tokens": counts,
        "/v1/messages": MESSAGES,
        "/v1/messages/count_tokens": COUNT_TOKENS,
    }


def errors_at(path: str) -> ErrorForm:
    """Return the form of errors at a path and below it; OpenAI's where no other is listed."""
    while path and path not in _ERRORS:
        path = path.rpartition("/")[0]
    return _ERRORS.get(path, OPENAI_ERRORS)
