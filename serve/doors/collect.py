"""Collects a streamed answer for callers that asked for a whole one. Both doors use it."""

from collections.abc import Sequence
from dataclasses import dataclass

from protos import chat_pb2 as chat
from serve.gateway import Answer


@dataclass(frozen=True, slots=True)
class CollectedAnswer:
    """A whole answer. `annotations` is None if there were no documents to cite."""

    text: str
    tool_calls: Sequence[chat.ToolCall]
    annotations: Sequence[chat.Annotation] | None


async def collect(answer: Answer) -> CollectedAnswer:
    """Read an answer to its end.

    Raises:
        MoegateError: as `Answer.chunks` does.
    """
    texts: list[str] = []
    calls: list[chat.ToolCall] = []
    async for chunk in answer.chunks():
        texts.append(chunk.text)
        for delta in chunk.tool_calls:
            if delta.index == len(calls):
                calls.append(chat.ToolCall(id=delta.id, name=delta.name))
            calls[delta.index].arguments += delta.arguments
            if delta.HasField("depends_on"):
                calls[delta.index].depends_on.CopyFrom(delta.depends_on)
    return CollectedAnswer("".join(texts), calls, answer.end.completion.annotations if answer.documents else None)
