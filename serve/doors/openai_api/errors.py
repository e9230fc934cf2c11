"""OpenAI's form of an error, in a body and as a stream's last event."""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from serve.doors.sse import one_line
from serve.errors import MoegateError

_SCHEMA: Final = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": "string"},
            },
        }
    },
}


class OpenAIErrors:
    """Implements `serve.doors.wire_form.ErrorForm`."""

    name: str = "Error"
    schema: Mapping[str, Any] = _SCHEMA

    def body(self, error: MoegateError) -> bytes:
        """OpenAI's error object."""
        fields = {"message": error.message, "type": error.type, "param": error.param, "code": error.code}
        return orjson.dumps({"error": fields})

    def event(self, error: MoegateError) -> bytes:
        """The same inside a stream. No end mark follows: the answer is not complete."""
        return b"data: " + one_line(self.body(error)) + b"\n\n"


OPENAI_ERRORS: Final = OpenAIErrors()
