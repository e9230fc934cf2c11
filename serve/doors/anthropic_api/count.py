"""Anthropic's count of a prompt's tokens: an answer of one token, of which only the prompt's length is told.

Tokenisers live in the replicas, beside the templates and system prompts that belong to the count. So the number is the
one that a real answer's usage reports, from the expert that would give it; it costs what reading the prompt costs.
"""

from typing import Final

import orjson

from protos import chat_pb2 as chat
from protos import expert_pb2 as pb
from serve.doors.anthropic_api.errors import ANTHROPIC_ERRORS
from serve.doors.collect import CollectedAnswer
from serve.errors import MoegateError
from serve.steps.answer import End

ONE_TOKEN: Final = chat.Sampling(max_tokens=1)


class CountPresenter:
    """Tells the length of an answer's prompt; an answer to count is never streamed."""

    def piece(self, chunk: pb.GenerateChunk) -> bytes:
        """Nothing is told of the words."""
        return b""

    async def closing(self, end: End) -> bytes:
        """The count."""
        return _counted(end)

    def failed(self, error: MoegateError) -> bytes:
        """The error."""
        return ANTHROPIC_ERRORS.event(error)

    async def whole(self, answer: CollectedAnswer, end: End) -> bytes:
        """The count."""
        return _counted(end)


def _counted(end: End) -> bytes:
    return orjson.dumps({"input_tokens": end.completion.usage.prompt_tokens})
