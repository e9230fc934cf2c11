"""Collects a streamed answer for callers that asked for a whole one. Both doors use it."""

from collections.abc import Sequence
from dataclasses import dataclass

from protos import chat_pb2 as chat
from serve.steps.answer import Answer


@dataclass(frozen=True, slots=True)
class CollectedAnswer:
    """A whole answer. `annotations` is None if there were no documents to cite, `logprobs` if nobody asked for them."""

    text: str
    tool_calls: Sequence[chat.ToolCall]
    annotations: Sequence[chat.Annotation] | None
    logprobs: Sequence[chat.TokenLogprob] | None = None


async def collect(answer: Answer) -> CollectedAnswer:
    """Read an answer to its end.

    Raises:
        MoegateError: as `Answer.chunks` does.
    """
    texts: list[str] = []
    calls: list[chat.ToolCall] = []
    logprobs: list[chat.TokenLogprob] | None = [] if answer.tells_logprobs else None
    async for chunk in answer.chunks():
        texts.append(chunk.text)
        if logprobs is not None:
            logprobs.extend(chunk.logprobs)
        for delta in chunk.tool_calls:
            if delta.index == len(calls):
                calls.append(chat.ToolCall(id=delta.id, name=delta.name))
            calls[delta.index].arguments += delta.arguments
            if delta.HasField("depends_on"):
                calls[delta.index].depends_on.CopyFrom(delta.depends_on)
    annotations = answer.end.completion.annotations if answer.documents else None
    return CollectedAnswer("".join(texts), calls, annotations, logprobs)
