"""Experts that do what the request asks, so that any client's script finds an answer of the right form.

With tools they call the first one that may be called, with arguments that follow its schema; given the tool's result
they repeat it. Asked for JSON they write a value of the schema. Otherwise they repeat the user's words, unless there
are more of them than their window has tokens.
"""

import json
import re
from collections.abc import AsyncIterator
from typing import Any, Final

import grpc

from experts.engine import ContextLengthExceeded, no_room
from protos import chat_pb2 as chat
from protos import expert_pb2 as pb
from tests.fakes.expert_server import Context, FakeExperts, Script

WINDOW: Final = 32_768
"""Tokens, each a word, that an expert reads and writes at most."""


class Actors(FakeExperts):
    """The experts, each word of an answer a token."""

    def __init__(self, *names: str) -> None:
        super().__init__(*names)
        for script in self.scripts.values():
            script.structured_output = True

    async def Generate(self, request: pb.GenerateRequest, context: Context) -> AsyncIterator[pb.GenerateChunk]:
        asked = sum(message.content.count(" ") for message in request.conversation.messages)
        if asked >= WINDOW:
            refusal = f"{ContextLengthExceeded.slug}: {no_room(WINDOW, asked)}"
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, refusal)
        async for chunk in super().Generate(request, context):
            yield chunk

    def words(self, script: Script, request: pb.GenerateRequest) -> list[str]:
        """What is said to a request."""
        if not request.HasField("conversation"):
            return re.findall(r"\s*\S+", f"You said: {request.prompt}")
        asked = request.conversation
        last = asked.messages[-1]
        if _is_to_call(asked):
            return [_call(asked)]
        if asked.response_format.type == chat.ResponseFormat.TYPE_JSON_OBJECT:
            return [json.dumps(value_of(_schema_in_words(asked)))]
        if request.reduced_schema:
            return [json.dumps(value_of(json.loads(request.reduced_schema)))]
        said = f"The tool said: {last.content}." if last.role == chat.ROLE_TOOL else f"You said: {last.content}"
        return re.findall(r"\s*\S+", said)


def _is_to_call(asked: chat.Conversation) -> bool:
    """Whether a tool is to be called: one has to be, or one may be and no result is here yet."""
    mode = asked.tool_choice.mode
    if not asked.tools or mode == chat.ToolChoice.MODE_NONE:
        return False
    must = mode in (chat.ToolChoice.MODE_REQUIRED, chat.ToolChoice.MODE_NAMED)
    return must or asked.messages[-1].role != chat.ROLE_TOOL


def _call(asked: chat.Conversation) -> str:
    name = asked.tool_choice.name or asked.tools[0].name
    [tool] = [tool for tool in asked.tools if tool.name == name]
    arguments = value_of(json.loads(tool.parameters_json or '{"type": "object"}'))
    return f"<tool_call>{json.dumps({'name': name, 'arguments': arguments})}</tool_call>"


def _schema_in_words(asked: chat.Conversation) -> Any:
    """Find the schema that some clients write into a message where they ask for any JSON object."""
    for message in asked.messages:
        try:
            found, _ = json.JSONDecoder().raw_decode(message.content, message.content.find("{"))
        except ValueError:
            continue
        if "properties" in found:
            return found
    return {"type": "object"}


def value_of(schema: Any, root: Any = None) -> Any:
    """Write a small value that follows a schema, of the keywords that clients' schemas have."""
    root = schema if root is None else root
    if not isinstance(schema, dict):
        return {}
    if "$ref" in schema:
        return value_of(_found(root, schema["$ref"]), root)
    for keyword in ("const", "default"):
        if keyword in schema:
            return schema[keyword]
    if "enum" in schema:
        return schema["enum"][0]
    for keyword in ("anyOf", "oneOf", "allOf"):
        if keyword in schema:
            return value_of(schema[keyword][0], root)
    kind = schema.get("type", "object")
    return _of_type(kind[0] if isinstance(kind, list) else kind, schema, root)


def _of_type(kind: str, schema: dict[str, Any], root: Any) -> Any:
    match kind:
        case "object":
            return {name: value_of(part, root) for name, part in schema.get("properties", {}).items()}
        case "array":
            return [value_of(schema.get("items", {"type": "string"}), root) for _ in range(schema.get("minItems", 1))]
        case "integer" | "number":
            above = schema.get("exclusiveMinimum")
            return schema.get("minimum", 1) if above is None else above + 1
        case "boolean":
            return True
        case "null":
            return None
        case _:
            return {"email": "ada@example.com", "date": "2026-11-29"}.get(schema.get("format", ""), "Oslo")


def _found(root: Any, reference: str) -> Any:
    for step in reference.removeprefix("#/").split("/"):
        root = root[step]
    return root
