"""OpenAI's answers: whole ones, and the frames of a stream. Each of the two endpoints has its own form.

A stream's frames differ only in a few bytes, so each is built once a stream, with a gap for the text
(https://platform.openai.com/docs/api-reference/chat-streaming).
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import orjson

from protos import chat_pb2 as chat
from protos import expert_pb2 as pb
from serve.doors.collect import CollectedAnswer
from serve.doors.openai_api.logprobs import LogprobForm, TextLogprobs, chat_logprobs
from serve.doors.sse import one_line

FINISH_NAMES: Final = {
    chat.FINISH_REASON_STOP: "stop",
    chat.FINISH_REASON_LENGTH: "length",
    chat.FINISH_REASON_TOOL_CALLS: "tool_calls",
}
CONTENT_FILTER: Final = "content_filter"
DONE: Final = b"data: [DONE]\n\n"


class Dialect(Protocol):
    """What differs between the chat and the completions endpoint."""

    id_prefix: str
    object: str
    chunk_object: str

    def choice(self, answer: CollectedAnswer, finish: str | None) -> dict[str, Any]:
        """The one choice of a whole answer."""
        ...

    def delta(self, text: str, finish: str | None) -> dict[str, Any]:
        """The one choice of a frame."""
        ...

    def opening(self, content: str | None) -> dict[str, Any] | None:
        """The choice of the frame that precedes the answer, if there is one; without content where calls come."""
        ...

    def logprobs(self) -> LogprobForm:
        """What writes the log probabilities of one choice, in pieces or whole."""
        ...


class ChatDialect:
    """/v1/chat/completions."""

    id_prefix = "chatcmpl-"
    object = "chat.completion"
    chunk_object = "chat.completion.chunk"

    def choice(self, answer: CollectedAnswer, finish: str | None) -> dict[str, Any]:
        """A message."""
        message: dict[str, Any] = {"role": "assistant", "content": answer.text, "refusal": None}
        if answer.tool_calls:
            calls = [planned(call_object(call.id, call.name, call.arguments), call) for call in answer.tool_calls]
            message |= {"content": answer.text or None, "tool_calls": calls}
        if answer.annotations is not None:
            message["annotations"] = [annotation_object(annotation) for annotation in answer.annotations]
        told = None if answer.logprobs is None else chat_logprobs(answer.logprobs)
        return {"index": 0, "message": message, "logprobs": told, "finish_reason": finish}

    def delta(self, text: str, finish: str | None) -> dict[str, Any]:
        """A delta; the last one is empty."""
        return {"index": 0, "delta": {} if finish else {"content": text}, "logprobs": None, "finish_reason": finish}

    def opening(self, content: str | None) -> dict[str, Any] | None:
        """The role comes first."""
        delta = {"role": "assistant", "content": content, "refusal": None}
        return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}

    def logprobs(self) -> LogprobForm:
        """A list of tokens."""
        return chat_logprobs


class CompletionDialect:
    """/v1/completions."""

    id_prefix = "cmpl-"
    object = "text_completion"
    chunk_object = "text_completion"

    def choice(self, answer: CollectedAnswer, finish: str | None) -> dict[str, Any]:
        """A text."""
        choice = self.delta(answer.text, finish)
        return choice if answer.logprobs is None else choice | {"logprobs": TextLogprobs()(answer.logprobs)}

    def delta(self, text: str, finish: str | None) -> dict[str, Any]:
        """A piece of text."""
        return {"index": 0, "text": text, "logprobs": None, "finish_reason": finish}

    def opening(self, content: str | None) -> dict[str, Any] | None:
        """Nothing precedes the text."""
        return None

    def logprobs(self) -> LogprobForm:
        """Lists of the same length, which count the text's characters on from piece to piece."""
        return TextLogprobs()


@dataclass(frozen=True, slots=True)
class Envelope:
    """What all parts of one answer share."""

    id: str
    model: str
    dialect: Dialect
    created: int

    @classmethod
    def begin(cls, request_id: str, expert: str, dialect: Dialect) -> "Envelope":
        """Start an answer now."""
        return cls(request_id, expert, dialect, int(time.time()))

    def whole(self, answer: CollectedAnswer, end: pb.Completion, cost_usd: float) -> bytes:
        """A whole answer."""
        return self.body([self.choice(answer, end)], usage(end.usage, cost_usd))

    def choice(self, answer: CollectedAnswer, end: pb.Completion, index: int = 0) -> dict[str, Any]:
        """One of the choices of a whole answer."""
        return self.dialect.choice(answer, FINISH_NAMES[end.finish_reason]) | {"index": index}

    def body(self, choices: Sequence[Mapping[str, Any]], used: Mapping[str, int | float]) -> bytes:
        """A whole answer's body."""
        return orjson.dumps(self._head(self.dialect.object) | {"choices": choices, "usage": used})

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}

    def frame(self, choices: list[dict[str, Any]], extra: dict[str, Any]) -> bytes:
        """One server-sent event."""
        content = self._head(self.dialect.chunk_object) | {"choices": choices} | extra
        return b"data: " + one_line(orjson.dumps(content)) + b"\n\n"


class Frames:
    """The server-sent events of one choice; of one stream, where there is but one."""

    _GAP: Final = "\x00"  # where the text goes; orjson writes it as \u0000, which no envelope holds otherwise

    def __init__(self, envelope: Envelope, *, include_usage: bool, index: int = 0) -> None:
        """`index` is the choice's place among several."""
        self._envelope = envelope
        self._include_usage = include_usage
        self._index = {"index": index}
        self._extra: dict[str, Any] = {"usage": None} if include_usage else {}
        template = self._frame(envelope.dialect.delta(self._GAP, None))
        self._before, self._after = template.split(orjson.dumps(self._GAP))

    def opening(self, content: str | None) -> bytes:
        """What precedes the answer; may be empty."""
        choice = self._envelope.dialect.opening(content)
        return b"" if choice is None else self._frame(choice)

    def piece(self, chunk: pb.GenerateChunk) -> bytes:
        """The frames of one of the expert's messages: its text, its pieces of tool calls."""
        text = self.text(chunk.text) if chunk.text else b""
        return text + b"".join(map(self._call, chunk.tool_calls))

    def _call(self, call: chat.ToolCallDelta) -> bytes:
        delta = {"tool_calls": [call_delta(call)]}
        return self._frame({"index": 0, "delta": delta, "logprobs": None, "finish_reason": None})

    def text(self, text: str) -> bytes:
        """The frame of a piece of text."""
        raw = orjson.dumps(text)
        return self._before + (raw if text.isascii() else one_line(raw)) + self._after

    def closing(self, end: pb.Completion, cost_usd: float) -> bytes:
        """The choice's last frame, the usage if it was asked for, and the end mark."""
        return self.last(end) + self.total(usage(end.usage, cost_usd)) + DONE

    def last(self, end: pb.Completion) -> bytes:
        """The frame with the finish reason and the citations."""
        last = self._envelope.dialect.delta("", FINISH_NAMES[end.finish_reason])
        if end.annotations:
            last["delta"]["annotations"] = [annotation_object(annotation) for annotation in end.annotations]
        return self._frame(last)

    def total(self, used: Mapping[str, int | float]) -> bytes:
        """The frame with the usage, if it was asked for."""
        return self._envelope.frame([], {"usage": used}) if self._include_usage else b""

    def blocked(self) -> bytes:
        """The frame that ends an answer which the guard blocks, and the end mark."""
        return self._frame(self._envelope.dialect.delta("", CONTENT_FILTER)) + DONE

    def _frame(self, choice: dict[str, Any]) -> bytes:
        return self._envelope.frame([choice | self._index], self._extra)


class LoggedFrames(Frames):
    """Frames that tell the log probabilities of their tokens."""

    def __init__(self, envelope: Envelope, *, include_usage: bool, index: int = 0) -> None:
        """See `Frames`."""
        super().__init__(envelope, include_usage=include_usage, index=index)
        self._logprobs = envelope.dialect.logprobs()

    def piece(self, chunk: pb.GenerateChunk) -> bytes:
        """The frames of a message, the first of which has the tokens of all; one of its own where nothing was said."""
        choices = [] if chunk.tool_calls and not chunk.text else [self._envelope.dialect.delta(chunk.text, None)]
        for call in chunk.tool_calls:
            delta = {"tool_calls": [call_delta(call)]}
            choices.append({"index": 0, "delta": delta, "logprobs": None, "finish_reason": None})
        if chunk.logprobs:
            choices[0]["logprobs"] = self._logprobs(chunk.logprobs)
        return b"".join(map(self._frame, choices))


def frames_of(envelope: Envelope, *, include_usage: bool, tells_logprobs: bool, index: int = 0) -> Frames:
    """Make the frames of one choice."""
    kind = LoggedFrames if tells_logprobs else Frames
    return kind(envelope, include_usage=include_usage, index=index)


def call_object(call_id: str, name: str, arguments: str) -> dict[str, Any]:
    """OpenAI's tool call."""
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def call_delta(call: chat.ToolCallDelta) -> dict[str, Any]:
    """A piece of a tool call: the first has id and name, later ones more arguments."""
    if call.id:
        return planned({"index": call.index, **call_object(call.id, call.name, call.arguments)}, call)
    return planned({"index": call.index, "function": {"arguments": call.arguments}}, call)


def planned(written: dict[str, Any], call: chat.ToolCall | chat.ToolCallDelta) -> dict[str, Any]:
    """Put beside a step of a plan which earlier calls it needs; moegate's own field."""
    return {**written, "depends_on": list(call.depends_on.calls)} if call.HasField("depends_on") else written


def annotation_object(annotation: chat.Annotation) -> dict[str, Any]:
    """OpenAI's annotation of a citation."""
    cited = {"start_index": annotation.start_index, "end_index": annotation.end_index}
    return {"type": "url_citation", "url_citation": {**cited, "title": annotation.title, "url": annotation.url}}


def usage(tokens: chat.Usage, cost_usd: float) -> dict[str, int | float]:
    """OpenAI's usage object, and what the answer cost; `estimated` where no tokeniser has counted."""
    counted: dict[str, int | float] = {
        "prompt_tokens": tokens.prompt_tokens,
        "completion_tokens": tokens.completion_tokens,
        "total_tokens": tokens.prompt_tokens + tokens.completion_tokens,
        "cost_usd": cost_usd,
    }
    return {**counted, "estimated": True} if tokens.estimated else counted
