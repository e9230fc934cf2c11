"""The prepared request and the expert's answer as OpenAI's JSON: what the flywheel's records hold.

Sources: https://platform.openai.com/docs/api-reference/chat/create and .../chat/object. The request is the one that the
experts saw, whichever door it came through, so `/v1/messages` and gRPC leave records of the same form.
"""

from collections.abc import Sequence
from typing import Any, Final, Protocol

import orjson
from google.protobuf.message import Message

from protos import chat_pb2 as chat
from protos import expert_pb2 as pb
from serve.request import ChatRequest

_ROLES: Final = {
    chat.ROLE_SYSTEM: "system",
    chat.ROLE_USER: "user",
    chat.ROLE_ASSISTANT: "assistant",
    chat.ROLE_TOOL: "tool",
}
_CHOICES: Final = {
    chat.ToolChoice.MODE_NONE: "none",
    chat.ToolChoice.MODE_AUTO: "auto",
    chat.ToolChoice.MODE_REQUIRED: "required",
}
_FINISHES: Final = {
    chat.FINISH_REASON_STOP: "stop",
    chat.FINISH_REASON_LENGTH: "length",
    chat.FINISH_REASON_TOOL_CALLS: "tool_calls",
}


class Mask(Protocol):
    """Masks what is not to be kept; `serve.interactions.redaction.Redaction` does."""

    def text(self, text: str) -> str:
        """Words."""
        ...

    def json(self, text: str) -> str:
        """JSON; it stays JSON."""
        ...


def request_json(request: ChatRequest, mask: Mask) -> dict[str, Any]:
    """Return the body of a chat completion (of a completion, for a raw prompt) that asks the same."""
    body: dict[str, Any] = {"model": request.model or "auto", "stream": request.is_stream}
    asked = request.input
    if isinstance(asked, str):
        body["prompt"] = mask.text(asked)
    else:
        _add_conversation(body, asked, mask)
    for field, value in request.sampling.ListFields():
        body[field.name] = list(value) if field.is_repeated else value
    return body


def response_json(
    response_id: str, expert: str, created: int, chunks: Sequence[pb.GenerateChunk], mask: Mask
) -> dict[str, Any]:
    """Return the whole answer as a chat completion; the last of the messages carries the expert's own account."""
    text = "".join([chunk.text for chunk in chunks])
    message: dict[str, Any] = {"role": "assistant", "content": mask.text(text)}
    end = chunks[-1].completion
    if end.HasField("tool_calls") and (calls := _calls(chunks, mask)):
        message |= {"content": message["content"] or None, "tool_calls": calls}
    usage = end.usage
    prompt_tokens, completion_tokens = usage.prompt_tokens, usage.completion_tokens
    return {
        "id": response_id,
        "object": "chat.completion",
        "created": created,
        "model": expert,
        "choices": [{"index": 0, "message": message, "finish_reason": _FINISHES.get(end.finish_reason)}],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
        },
    }


def _calls(chunks: Sequence[pb.GenerateChunk], mask: Mask) -> list[dict[str, Any]]:
    """Put the pieces of an answer's calls together."""
    calls: list[chat.ToolCall] = []
    for chunk in chunks:
        for delta in chunk.tool_calls:
            if delta.index == len(calls):
                calls.append(chat.ToolCall(id=delta.id, name=delta.name))
            calls[delta.index].arguments += delta.arguments
            if delta.HasField("depends_on"):
                calls[delta.index].depends_on.CopyFrom(delta.depends_on)
    return [_call(call, mask) for call in calls]


def set_fields(message: Message) -> dict[str, Any]:
    """Return the fields that are set of a message of plain values, by name."""
    return {field.name: list(value) if field.is_repeated else value for field, value in message.ListFields()}


def _add_conversation(body: dict[str, Any], asked: chat.Conversation, mask: Mask) -> None:
    body["messages"] = [_message(message, mask) for message in asked.messages]
    if asked.tools:
        body["tools"] = [_tool(tool, mask) for tool in asked.tools]
        choice = asked.tool_choice
        if choice.mode == chat.ToolChoice.MODE_NAMED:
            body["tool_choice"] = {"type": "function", "function": {"name": choice.name}}
        elif choice.mode:
            body["tool_choice"] = _CHOICES[choice.mode]
    if asked.documents:
        body["documents"] = [_document(document, mask) for document in asked.documents]
    if asked.HasField("parallel_tool_calls"):
        body["parallel_tool_calls"] = asked.parallel_tool_calls
    if asked.plan:
        body["plan"] = True
    if asked.HasField("response_format"):
        body["response_format"] = _form(asked.response_format, mask)


def _message(message: chat.Message, mask: Mask) -> dict[str, Any]:
    said: dict[str, Any] = {"role": _ROLES.get(message.role, "user"), "content": mask.text(message.content)}
    if message.role == chat.ROLE_USER:
        return said
    if message.name:
        said["name"] = message.name
    if message.tool_calls:
        said["tool_calls"] = [_call(call, mask) for call in message.tool_calls]
    if message.tool_call_id:
        said["tool_call_id"] = message.tool_call_id
    return said


def _call(call: chat.ToolCall, mask: Mask) -> dict[str, Any]:
    function = {"name": call.name, "arguments": mask.json(call.arguments)}
    plain = {"id": call.id, "type": "function", "function": function}
    return {**plain, "depends_on": list(call.depends_on.calls)} if call.HasField("depends_on") else plain


def _document(document: chat.Document, mask: Mask) -> dict[str, str]:
    title, text, url = mask.text(document.title), mask.text(document.text), mask.text(document.url)
    return {"title": title, "text": text, "url": url}


def _tool(tool: chat.Tool, mask: Mask) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name, "description": mask.text(tool.description)}
    if tool.parameters_json:
        function["parameters"] = orjson.loads(mask.json(tool.parameters_json))
    if tool.strict:
        function["strict"] = True
    return {"type": "function", "function": function}


def _form(wanted: chat.ResponseFormat, mask: Mask) -> dict[str, Any]:
    if wanted.type == chat.ResponseFormat.TYPE_JSON_SCHEMA:
        schema = orjson.loads(mask.json(wanted.schema_json) or "{}")
        named = {"name": "answer", "schema": schema, "strict": wanted.strict}
        return {"type": "json_schema", "json_schema": named}
    is_object = wanted.type == chat.ResponseFormat.TYPE_JSON_OBJECT
    return {"type": "json_object" if is_object else "text"}
