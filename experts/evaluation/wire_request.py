"""A case of a suite as the body of a request to a gateway: what a client of OpenAI's API would send.

`experts.evaluation.gateway_client` sends it. Documents are moegate's own field beside OpenAI's.
"""

from __future__ import annotations

import json
from typing import Any, Final

from protos import chat_pb2

_ROLES: Final = {
    chat_pb2.ROLE_SYSTEM: "system",
    chat_pb2.ROLE_USER: "user",
    chat_pb2.ROLE_ASSISTANT: "assistant",
}


def request_body(model: str, conversation: chat_pb2.Conversation, max_tokens: int | None) -> dict[str, Any]:
    """Return the JSON of POST /v1/chat/completions: greedy, streamed, with the usage at the end."""
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": _ROLES[message.role], "content": message.content} for message in conversation.messages],
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if max_tokens is not None:
        body["max_tokens"] = max_tokens
    if conversation.tools:
        body["tools"] = [_tool(tool) for tool in conversation.tools]
    if conversation.plan:
        body["plan"] = True
    if conversation.documents:
        body["documents"] = [{"title": document.title, "text": document.text} for document in conversation.documents]
    if conversation.response_format.type == chat_pb2.ResponseFormat.TYPE_JSON_SCHEMA:
        form = {"name": "answer", "schema": json.loads(conversation.response_format.schema_json)}
        body["response_format"] = {"type": "json_schema", "json_schema": form}
    return body


def _tool(tool: chat_pb2.Tool) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": json.loads(tool.parameters_json)}
    return {"type": "function", "function": function}
