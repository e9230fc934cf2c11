"""A response as it is told: whole, or event by event with sequence numbers.

Events: https://platform.openai.com/docs/api-reference/responses-streaming. One output item is open at a time: the
answer's words, then each call.
"""

from collections.abc import Awaitable, Callable, Sequence
from itertools import count
from typing import Any, Final

import orjson

from protos import chat_pb2 as chat
from protos import expert_pb2 as pb
from serve.doors.collect import CollectedAnswer
from serve.doors.openai_api.errors import OpenAIErrors
from serve.doors.openai_api.logprobs import token_objects, without_bytes
from serve.doors.openai_api.responses.file_search import Searched, search_item
from serve.doors.openai_api.responses.output import (
    ResponseObject,
    Status,
    annotation_object,
    call_item,
    item_id,
    message_item,
    text_part,
)
from serve.doors.sse import named_event, one_line
from serve.errors import MoegateError
from serve.steps.answer import End

Keep = Callable[[ResponseObject, Status, Sequence[dict[str, Any]], End], Awaitable[dict[str, Any]]]
"""Makes the last version of a response out of its output and end, and keeps it where it is to be kept.

Raises:
    StorageUnavailable: it was to be kept and could not be.
"""

_FIRST_TEXT: Final = {"content_index": 0}


class ResponsesErrors(OpenAIErrors):
    """OpenAI's errors, with the event that the Responses API has for them."""

    def event(self, error: MoegateError) -> bytes:
        """An error before anything else was told."""
        fields = {"code": error.code, "message": error.message, "param": error.param, "sequence_number": 0}
        return named_event("error", {"type": "error", **fields})


RESPONSES_ERRORS: Final = ResponsesErrors()


class ResponsePresenter:
    """Presents an answer as a response."""

    def __init__(self, response: ResponseObject, keep: Keep, searched: Searched | None = None) -> None:
        """`searched` is the file search that took place for it."""
        self._response = response
        self._searched = searched
        self._keep = keep
        self._numbers = count()
        self._has_begun = False
        self._output: list[dict[str, Any]] = []  # the last one is open if `_open` is set
        self._open: chat.ToolCall | None = None  # the open item: a call, or words, which are a call without a name
        self._pieces: list[str] = []  # of the open item
        self._logprobs: list[dict[str, Any]] = []  # of the open message's tokens
        self._text_event = b""
        self._untold = b""  # the last item's end, until the response is kept

    def piece(self, chunk: pb.GenerateChunk) -> bytes:
        """The events of a message's text and calls."""
        events = self._begin()
        if chunk.text:
            events += self._logged_text(chunk) if self._response.body.tells_logprobs else self._text(chunk.text)
        for call in chunk.tool_calls:
            events += self._call(call)
        return events

    async def closing(self, end: End) -> bytes:
        """The end of the last item, and of the response."""
        status = _status(end)
        self._untold = self._begin() + self._close(status, end.completion.annotations)
        whole = await self._keep(self._response, status, self._output, end)
        return self._untold + self._event(f"response.{status}", response=whole)

    def failed(self, error: MoegateError) -> bytes:
        """The response so far, with the error."""
        told = {"code": error.code, "message": error.message}
        failed = self._response.version("failed", self._output, error=told)
        return self._untold + self._begin() + self._event("response.failed", response=failed)

    async def whole(self, answer: CollectedAnswer, end: End) -> bytes:
        """The whole response."""
        status = _status(end)
        if self._searched is not None:
            self._output.append(self._searched.item(self._next_id("fs")))
        if answer.text:
            logprobs = token_objects(answer.logprobs or ())
            parts = [text_part(answer.text, self._annotations(answer.annotations or ()), logprobs)]
            self._output.append(message_item(self._next_id("msg"), status, parts))
        for call in answer.tool_calls:
            self._output.append(call_item(self._next_id("fc"), "completed", call.id, call.name, call.arguments))
        return orjson.dumps(await self._keep(self._response, status, self._output, end))

    def _next_id(self, kind: str) -> str:
        return item_id(kind, self._response.id, len(self._output))

    def _event(self, name: str, **fields: object) -> bytes:
        return named_event(name, {"type": name, "sequence_number": next(self._numbers), **fields})

    def _begin(self) -> bytes:
        """The events that open a response, once."""
        if self._has_begun:
            return b""
        self._has_begun = True
        begun = self._response.version("in_progress", ())
        events = self._event("response.created", response=begun) + self._event("response.in_progress", response=begun)
        return events if self._searched is None else events + self._search(self._searched)

    def _search(self, searched: Searched) -> bytes:
        """The events of a file search, which is over by now."""
        whole = searched.item(self._next_id("fs"))
        self._output.append(whole)
        where = self._where()
        begun = search_item(whole["id"], "in_progress", whole["queries"], None)
        events = self._event("response.output_item.added", output_index=where["output_index"], item=begun)
        for stage in ("in_progress", "searching", "completed"):
            events += self._event(f"response.file_search_call.{stage}", **where)
        return events + self._event("response.output_item.done", output_index=where["output_index"], item=whole)

    def _text(self, text: str) -> bytes:
        events = self._message()
        self._pieces.append(text)
        raw = orjson.dumps(text)
        delta = raw if text.isascii() else one_line(raw)
        return events + self._text_event + delta + b',"sequence_number":%d}\n\n' % next(self._numbers)

    def _logged_text(self, chunk: pb.GenerateChunk) -> bytes:
        """A text's event with the log probabilities of its tokens; these have no list of bytes in events."""
        events = self._message()
        told = token_objects(chunk.logprobs)
        self._pieces.append(chunk.text)
        self._logprobs += told
        where = self._where() | _FIRST_TEXT
        return events + self._event(
            "response.output_text.delta", **where, delta=chunk.text, logprobs=without_bytes(told)
        )

    def _message(self) -> bytes:
        """The events that open a message, where none is open."""
        return self._open_message() if self._open is None or self._open.name else b""

    def _open_message(self) -> bytes:
        events = self._close("completed", ())
        item = message_item(self._next_id("msg"), "in_progress", ())
        where = {"item_id": item["id"], "output_index": len(self._output), **_FIRST_TEXT}
        events += self._start(chat.ToolCall(), item)
        head = orjson.dumps({"type": "response.output_text.delta", **where, "logprobs": []})[:-1]
        self._text_event = b"event: response.output_text.delta\ndata: " + head + b',"delta":'
        return events + self._event("response.content_part.added", **where, part=text_part("", ()))

    def _call(self, call: chat.ToolCallDelta) -> bytes:
        events = b""
        if call.id:
            events = self._close("completed", ())
            item = call_item(self._next_id("fc"), "in_progress", call.id, call.name, "")
            events += self._start(chat.ToolCall(id=call.id, name=call.name), item)
        if call.arguments:
            self._pieces.append(call.arguments)
            events += self._event("response.function_call_arguments.delta", **self._where(), delta=call.arguments)
        return events

    def _start(self, kind: chat.ToolCall, item: dict[str, Any]) -> bytes:
        self._open, self._pieces, self._logprobs = kind, [], []
        self._output.append(item)
        return self._event("response.output_item.added", output_index=len(self._output) - 1, item=item)

    def _where(self) -> dict[str, Any]:
        return {"item_id": self._output[-1]["id"], "output_index": len(self._output) - 1}

    def _close(self, status: Status, annotations: Sequence[chat.Annotation]) -> bytes:
        """End the open item, if there is one."""
        if self._open is None:
            return b""
        where, said = self._where(), "".join(self._pieces)
        if self._open.name:
            item = call_item(where["item_id"], "completed", self._open.id, self._open.name, said)
            events = self._event("response.function_call_arguments.done", **where, arguments=said)
        else:
            part = text_part(said, self._annotations(annotations), self._logprobs)
            item = message_item(where["item_id"], status, [part])
            events = self._end_text(where | _FIRST_TEXT, part)
        self._open, self._output[-1] = None, item
        return events + self._event("response.output_item.done", output_index=where["output_index"], item=item)

    def _annotations(self, annotations: Sequence[chat.Annotation]) -> list[dict[str, Any]]:
        """Citations as they are told: of a file that was found, or of a document with an address."""
        searched = self._searched
        found = [None if searched is None else searched.annotation(annotation) for annotation in annotations]
        return [file or annotation_object(one) for file, one in zip(found, annotations, strict=True)]

    def _end_text(self, where: dict[str, Any], part: dict[str, Any]) -> bytes:
        logprobs = without_bytes(part["logprobs"])
        events = self._event("response.output_text.done", **where, text=part["text"], logprobs=logprobs)
        for i, annotation in enumerate(part["annotations"]):
            told = {"annotation_index": i, "annotation": annotation}
            events += self._event("response.output_text.annotation.added", **where, **told)
        return events + self._event("response.content_part.done", **where, part=part)


def _status(end: End) -> Status:
    return "incomplete" if end.completion.finish_reason == chat.FINISH_REASON_LENGTH else "completed"
