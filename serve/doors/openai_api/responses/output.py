"""The response object, and the items of its output."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from protos import chat_pb2 as chat
from serve.doors.openai_api.responses.request import ResponsesBody
from serve.steps.answer import End

ID_PREFIX: Final = "resp_"

Status = Literal["in_progress", "completed", "incomplete", "failed"]


def item_id(kind: str, response_id: str, index: int | str) -> str:
    """Name an item by its place; the name leads back to its response (`response_of`)."""
    return f"{kind}_{response_id.removeprefix(ID_PREFIX)}_{index}"


def response_of(item: str) -> str:
    """The id of the response that an item's id belongs to."""
    return ID_PREFIX + item.partition("_")[2].rpartition("_")[0]


def message_item(item: str, status: Status, parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The answer's words."""
    return {"id": item, "type": "message", "status": status, "role": "assistant", "content": list(parts)}


def text_part(
    text: str, annotations: Sequence[dict[str, Any]], logprobs: Sequence[dict[str, Any]] = ()
) -> dict[str, Any]:
    """A message's text, with its citations and the log probabilities of its tokens."""
    return {"type": "output_text", "text": text, "annotations": list(annotations), "logprobs": list(logprobs)}


def annotation_object(annotation: chat.Annotation) -> dict[str, Any]:
    """OpenAI's annotation of a citation."""
    cited = {"start_index": annotation.start_index, "end_index": annotation.end_index}
    return {"type": "url_citation", **cited, "title": annotation.title, "url": annotation.url}


def call_item(item: str, status: Status, call_id: str, name: str, arguments: str) -> dict[str, Any]:
    """A call."""
    called = {"call_id": call_id, "name": name, "arguments": arguments}
    return {"id": item, "type": "function_call", "status": status, **called}


def usage_object(end: End) -> dict[str, Any]:
    """The Responses API's usage, and what the answer cost."""
    tokens = end.completion.usage
    return {
        "input_tokens": tokens.prompt_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": tokens.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": tokens.prompt_tokens + tokens.completion_tokens,
        "cost_usd": end.cost_usd,
    }


@dataclass(frozen=True, slots=True)
class ResponseObject:
    """What all versions of one response share.

    Attributes:
        id: its id.
        model: the expert that answers.
        created_at: seconds since 1970.
        body: what was asked, which the response repeats.
    """

    id: str
    model: str
    created_at: int
    body: ResponsesBody

    @classmethod
    def begin(cls, response_id: str, expert: str, body: ResponsesBody) -> "ResponseObject":
        """Start a response now."""
        return cls(response_id, expert, int(time.time()), body)

    def version(
        self,
        status: Status,
        output: Sequence[dict[str, Any]],
        *,
        end: End | None = None,
        error: dict[str, Any] | None = None,
        is_stored: bool = False,
    ) -> dict[str, Any]:
        """The response in one of its states; `end` where it has an answer that is whole."""
        body = self.body
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created_at,
            "status": status,
            "completed_at": int(time.time()) if status == "completed" else None,
            "background": False,
            "error": error,
            "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
            "instructions": body.instructions,
            "max_output_tokens": body.max_output_tokens,
            "metadata": body.metadata or {},
            "model": self.model,
            "output": list(output),
            "parallel_tool_calls": body.parallel_tool_calls is not False,
            "previous_response_id": body.previous_response_id,
            "reasoning": {"effort": None, "summary": None},
            "service_tier": "default",
            "store": is_stored,
            "temperature": body.temperature,
            "text": _text(body),
            "tool_choice": "auto" if body.tool_choice is None else _plain(body.tool_choice),
            "tools": [_plain(tool) for tool in body.tools or ()],
            "top_logprobs": body.top_logprobs or 0,
            "top_p": body.top_p,
            "truncation": "disabled",
            "usage": None if end is None else usage_object(end),
            "user": body.user,
        }


def _text(body: ResponsesBody) -> dict[str, Any]:
    wanted = body.text.format if body.text else None
    return {"format": {"type": "text"} if wanted is None else _plain(wanted)}


def _plain(value: Any) -> Any:  # noqa: ANN401  # a word, or one of the body's models
    return value if isinstance(value, str) else value.model_dump(by_alias=True)
