"""A count of a prompt's tokens: an answer of one token, of which only the prompt's length is told.

Tokenisers live in the replicas, beside the templates and system prompts that belong to the count. So the number is the
one that a real answer's usage reports, from the expert that would give it; it costs what reading the prompt costs. The
wire forms of OpenAI and Anthropic have an endpoint for it each.
"""

from collections.abc import Mapping
from typing import Final

import orjson

from protos import chat_pb2 as chat
from protos import expert_pb2 as pb
from serve.doors.collect import CollectedAnswer
from serve.doors.wire_form import ErrorForm
from serve.errors import MoegateError
from serve.steps.answer import End

ONE_TOKEN: Final = chat.Sampling(max_tokens=1)


class CountPresenter:
    """Tells the length of an answer's prompt; an answer to count is never streamed."""

    def __init__(self, errors: ErrorForm, told: Mapping[str, str] | None = None) -> None:
        """`told` is what the API says beside the number."""
        self._errors = errors
        self._told = told or {}

    def piece(self, chunk: pb.GenerateChunk) -> bytes:
        """Nothing is told of the words."""
        return b""

    async def closing(self, end: End) -> bytes:
        """The count."""
        return self._counted(end)

    def failed(self, error: MoegateError) -> bytes:
        """The error."""
        return self._errors.event(error)

    async def whole(self, answer: CollectedAnswer, end: End) -> bytes:
        """The count."""
        return self._counted(end)

    def _counted(self, end: End) -> bytes:
        return orjson.dumps({**self._told, "input_tokens": end.completion.usage.prompt_tokens})
