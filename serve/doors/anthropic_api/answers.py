"""Anthropic's answers: a whole message, and the events of a stream (https://docs.anthropic.com/en/api/messages-streaming).

A message is a list of blocks: text, and one block a tool call. In a stream one block is open at a time.
"""

from collections.abc import Sequence
from typing import Any, Final

import orjson

from protos import chat_pb2 as chat
from protos import expert_pb2 as pb
from serve.doors.anthropic_api.errors import ANTHROPIC_ERRORS
from serve.doors.collect import CollectedAnswer
from serve.doors.sse import named_event, one_line
from serve.errors import ContentBlocked, MoegateError
from serve.request import ChatRequest
from serve.steps.answer import Answer, End

STOP_REASONS: Final = {
    chat.FINISH_REASON_STOP: "end_turn",
    chat.FINISH_REASON_LENGTH: "max_tokens",
    chat.FINISH_REASON_TOOL_CALLS: "tool_use",
}
"""An expert does not tell a stop string from the end of its turn, so `stop_sequence` is never a reason."""
_PING: Final = named_event("ping", {"type": "ping"})
_STOP: Final = named_event("message_stop", {"type": "message_stop"})


class MessagePresenter:
    """Presents an answer as a message."""

    def __init__(self, request: ChatRequest, answer: Answer, *, cites: bool) -> None:
        self._id = request.id
        self._model = answer.decision.expert
        self._answer = answer
        self._documents = answer.documents if cites else ()
        self._has_begun = False
        self._block = -1  # the open block, or the last one
        self._kind: str | None = None  # of the open block
        self._text_event = b""

    def piece(self, chunk: pb.GenerateChunk) -> bytes:
        """The events of a message's text and calls."""
        events = self._begin()
        if chunk.text:
            events += self._text(chunk.text)
        for call in chunk.tool_calls:
            events += self._call(call)
        return events

    async def closing(self, end: End) -> bytes:
        """The end of the last block, and of the message."""
        events = self._begin()
        if self._kind == "text":
            for citation in self._citations(end.completion.annotations):
                events += self._delta({"type": "citations_delta", "citation": citation})
        delta = {"stop_reason": STOP_REASONS[end.completion.finish_reason], "stop_sequence": None}
        last = {"type": "message_delta", "delta": delta, "usage": _usage(end)}
        return events + self._close() + named_event("message_delta", last) + _STOP

    def failed(self, error: MoegateError) -> bytes:
        """The error's event; what the guard blocks ends as a refusal, which has a stop reason of its own."""
        if not isinstance(error, ContentBlocked):
            return ANTHROPIC_ERRORS.event(error)
        delta = {"stop_reason": "refusal", "stop_sequence": None}
        last = {"type": "message_delta", "delta": delta, "usage": {"output_tokens": 0}}
        return self._begin() + self._close() + named_event("message_delta", last) + _STOP

    async def whole(self, answer: CollectedAnswer, end: End) -> bytes:
        """The whole message."""
        content: list[dict[str, Any]] = []
        if answer.text:
            content.append(_text_block(answer.text, self._citations(answer.annotations or ())))
        content += [
            _call_block(call.id, call.name, orjson.Fragment(call.arguments or "{}")) for call in answer.tool_calls
        ]
        reason = STOP_REASONS[end.completion.finish_reason]
        return orjson.dumps(self._message(content, reason, _usage(end)))

    def _message(self, content: list[dict[str, Any]], reason: str | None, usage: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": content,
            "stop_reason": reason,
            "stop_sequence": None,
            "usage": usage,
        }

    def _begin(self) -> bytes:
        """The events that open a message, once."""
        if self._has_begun:
            return b""
        self._has_begun = True
        usage = {"input_tokens": self._answer.prompt_tokens, "output_tokens": 0}
        return (
            named_event("message_start", {"type": "message_start", "message": self._message([], None, usage)}) + _PING
        )

    def _text(self, text: str) -> bytes:
        events = b""
        if self._kind != "text":
            events = self._open("text", _text_block("", []))
            head = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,' % self._block
            self._text_event = head + b'"delta":{"type":"text_delta","text":'
        raw = orjson.dumps(text)
        return events + self._text_event + (raw if text.isascii() else one_line(raw)) + b"}}\n\n"

    def _call(self, call: chat.ToolCallDelta) -> bytes:
        events = self._open("tool_use", _call_block(call.id, call.name, {})) if call.id else b""
        if call.arguments:
            events += self._delta({"type": "input_json_delta", "partial_json": call.arguments})
        return events

    def _open(self, kind: str, block: dict[str, Any]) -> bytes:
        """Close the block before, open the next."""
        events = self._close()
        self._block += 1
        self._kind = kind
        start = {"type": "content_block_start", "index": self._block, "content_block": block}
        return events + named_event("content_block_start", start)

    def _close(self) -> bytes:
        if self._kind is None:
            return b""
        self._kind = None
        return named_event("content_block_stop", {"type": "content_block_stop", "index": self._block})

    def _delta(self, delta: dict[str, Any]) -> bytes:
        content = {"type": "content_block_delta", "index": self._block, "delta": delta}
        return named_event("content_block_delta", content)

    def _citations(self, annotations: Sequence[chat.Annotation]) -> list[dict[str, Any]]:
        """The documents that the text cites, each once and as a whole: experts cite documents, not passages."""
        cited = sorted({annotation.document for annotation in annotations})
        return [_citation(number, self._documents[number - 1]) for number in cited if number <= len(self._documents)]


def _text_block(text: str, citations: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "text", "text": text, "citations": citations or None}


def _call_block(call_id: str, name: str, arguments: object) -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id, "name": name, "input": arguments}


def _citation(number: int, document: chat.Document) -> dict[str, Any]:
    return {
        "type": "char_location",
        "cited_text": document.text,
        "document_index": number - 1,
        "document_title": document.title or None,
        "start_char_index": 0,
        "end_char_index": len(document.text),
    }


def _usage(end: End) -> dict[str, Any]:
    """Anthropic's usage, and what the answer cost."""
    tokens = end.completion.usage
    return {
        "input_tokens": tokens.prompt_tokens,
        "output_tokens": tokens.completion_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "cost_usd": end.cost_usd,
    }
