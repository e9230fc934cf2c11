"""Anthropic's form of an error (https://docs.anthropic.com/en/api/errors).

The statuses are moegate's. `param` and `code` beside Anthropic's own fields say the same as on the other doors.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from serve.doors.sse import named_event
from serve.errors import MoegateError

_TYPES: Final = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
}
"""Anthropic's types by status; any other of the caller's faults is `invalid_request_error`, of ours `api_error`."""
_SCHEMA: Final = {
    "type": "object",
    "required": ["type", "error"],
    "properties": {
        "type": {"const": "error"},
        "error": {
            "type": "object",
            "required": ["type", "message"],
            "properties": {
                "type": {"type": "string"},
                "message": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": "string"},
            },
        },
    },
}


def type_of(status: int) -> str:
    """Anthropic's type of an error with that status."""
    return _TYPES.get(status, "invalid_request_error" if status < 500 else "api_error")


class AnthropicErrors:
    """Implements `serve.doors.wire_form.ErrorForm`."""

    name: str = "AnthropicError"
    schema: Mapping[str, Any] = _SCHEMA

    def body(self, error: MoegateError) -> bytes:
        """Anthropic's error object."""
        return orjson.dumps(_content(error))

    def event(self, error: MoegateError) -> bytes:
        """The same as an event."""
        return named_event("error", _content(error))


def _content(error: MoegateError) -> dict[str, Any]:
    fields = {"type": type_of(error.http_status), "message": error.message, "param": error.param, "code": error.code}
    return {"type": "error", "error": fields}


ANTHROPIC_ERRORS: Final = AnthropicErrors()
