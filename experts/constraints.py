"""What an answer is held to: the form a request asks for, as a constraint that an engine can keep token by token.

`experts.deployment` asks for it before the engine. A `response_format` is a promise: an engine that cannot keep it
refuses the request. Tools are kept to where the engine can (each call follows its tool's schema, and a call that is
asked for comes), and read as well as they go where it cannot.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

from experts.engine import (
    Capabilities,
    Constraint,
    InvalidRequest,
    JsonAnswer,
    Sampling,
    ToolAnswer,
    UnsupportedFormat,
)
from experts.json_schema import Schema, SchemaError, parse_schema, reduce_schema, without_lengths
from experts.prompts import callable_tools
from experts.tool_calls import CLOSE, ToolOffer
from protos import chat_pb2

_Format = chat_pb2.ResponseFormat
_Mode = chat_pb2.ToolChoice.Mode
_ANY_OBJECT: Schema = {"type": "object"}
_NOTHING: Schema = {"type": "object", "additionalProperties": False}
MAX_TOOLS_CHARS = 10_000  # of all tools' schemas: beyond it, arguments are held to be an object and no more


def constrained(sampling: Sampling, conversation: chat_pb2.Conversation, capabilities: Capabilities) -> Sampling:
    """Complete the sampling with what the conversation holds the answer to; raises as `constraint_of` does."""
    constraint = constraint_of(conversation, capabilities)
    if constraint is None and _at_most_one(conversation) and callable_tools(conversation):
        return replace(sampling, stop=(*sampling.stop, CLOSE))  # the first call is the last word
    return replace(sampling, constraint=constraint)


def constraint_of(conversation: chat_pb2.Conversation, capabilities: Capabilities) -> Constraint | None:
    """Say what the answer must keep to; None where anything goes.

    Raises:
        UnsupportedFormat: a form is asked for and the engine keeps to none.
        InvalidRequest: the form's schema cannot be used, or is asked for beside tools.
    """
    wanted = conversation.response_format
    tools = callable_tools(conversation)
    can_keep = "constraint" in capabilities.sampling
    if wanted.type == _Format.TYPE_TEXT:
        return _tool_answer(conversation, tools) if tools and can_keep else None
    if not can_keep:
        raise UnsupportedFormat("this expert's engine keeps to no response_format")
    if tools:
        raise InvalidRequest("response_format and tools that may be called exclude each other")
    return JsonAnswer(json.dumps(answer_schema(wanted)))


def answer_schema(wanted: chat_pb2.ResponseFormat) -> Schema:
    """Reduce the schema of a `response_format`.

    Raises:
        InvalidRequest: it cannot be used.
    """
    if wanted.type == _Format.TYPE_JSON_OBJECT:
        return _ANY_OBJECT
    try:
        return reduce_schema(parse_schema(wanted.schema_json), "strict" if wanted.strict else "loose")
    except SchemaError as error:
        raise InvalidRequest(f"response_format: {error}") from None


def tool_offer(conversation: chat_pb2.Conversation, *, is_constrained: bool) -> ToolOffer | None:
    """Say what the answer may call; None where it may call nothing, and a tag is a word like any other."""
    tools = callable_tools(conversation)
    if not tools:
        return None
    schemas = {tool.name: _arguments_schema(tool) for tool in tools}
    return ToolOffer(schemas, at_most_one=_at_most_one(conversation), is_constrained=is_constrained)


def _tool_answer(conversation: chat_pb2.Conversation, tools: list[chat_pb2.Tool]) -> ToolAnswer:
    must_call = conversation.tool_choice.mode in (_Mode.MODE_REQUIRED, _Mode.MODE_NAMED)
    return ToolAnswer(tuple(_affordable(tools)), must_call=must_call, at_most_one=_at_most_one(conversation))


def _affordable(tools: list[chat_pb2.Tool]) -> Iterator[tuple[str, str]]:
    """Pair names with serialised schemas, as long as the engine can compile them in a moment."""
    left = MAX_TOOLS_CHARS
    for tool in tools:
        schema = json.dumps(without_lengths(_arguments_schema(tool)))
        left -= len(schema)
        yield tool.name, schema if left >= 0 else json.dumps(_ANY_OBJECT)


def _arguments_schema(tool: chat_pb2.Tool) -> Schema:
    """Reduce a tool's parameters; where they say something that is no schema, anything may stand."""
    try:
        schema = parse_schema(tool.parameters_json or "{}")
    except SchemaError:
        return _ANY_OBJECT
    if schema in ({}, {"type": "object"}, {"type": "object", "properties": {}}):
        return _NOTHING  # a function without parameters
    reduced = reduce_schema(schema, "forgiving")
    return reduced if reduced.get("type") == "object" else _ANY_OBJECT


def _at_most_one(conversation: chat_pb2.Conversation) -> bool:
    return conversation.HasField("parallel_tool_calls") and not conversation.parallel_tool_calls
