"""The form that an answer must have, as a constraint that an engine can keep token by token.

`experts.cluster.deployment` asks for it before the engine. A `response_format` is a promise: an engine that cannot keep
it refuses the request. Tools are constrained if the engine supports it: each call follows its tool's schema, and a
required call comes. Where the newest message is a tool's result and no call may be made now, a model would go on making
them: it is held to words. Otherwise calls are only read from the text, as well as possible.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

from experts.conversation.missing.finder import missing_in
from experts.conversation.prompts import callable_tools
from experts.conversation.tool_calls import CLOSE, OPEN
from experts.conversation.tool_offer import ToolOffer
from experts.engine import (
    Capabilities,
    Constraint,
    InvalidRequest,
    JsonAnswer,
    Markup,
    Sampling,
    ToolAnswer,
    UnsupportedFormat,
)
from experts.json_schema.arguments import ANY_OBJECT, MAX_WORK, arguments_of
from experts.json_schema.reduction import Schema, SchemaError
from experts.json_schema.schema_text import reduced_text
from protos import chat_pb2

_Format = chat_pb2.ResponseFormat
_Mode = chat_pb2.ToolChoice.Mode
_LENGTHS = frozenset({"minLength", "maxLength", "minItems", "maxItems"})
MAX_TOOLS_CHARS = 10_000  # of all tools' schemas: beyond it, arguments are held to be an object and no more


def constrained(
    sampling: Sampling, conversation: chat_pb2.Conversation, capabilities: Capabilities, reduced_schema: str = ""
) -> Sampling:
    """Complete the sampling with what the conversation holds the answer to; raises as `constraint_of` does.

    Stop strings are for words: they do not count inside a call, nor at all where the answer is JSON or calls alone.
    """
    constraint = constraint_of(conversation, capabilities, reduced_schema)
    if constraint is not None and (isinstance(constraint, JsonAnswer) or constraint.must_call or constraint.form):
        return replace(sampling, constraint=constraint, stop=())
    if not callable_tools(conversation):
        return replace(sampling, constraint=constraint)
    is_last = constraint is None and _at_most_one(conversation)  # the first call is the last word
    markup = Markup(OPEN, CLOSE, is_last) if sampling.stop or is_last else None
    return replace(sampling, constraint=constraint, markup=markup)


def constraint_of(
    conversation: chat_pb2.Conversation, capabilities: Capabilities, reduced_schema: str = ""
) -> Constraint | None:
    """Say what the answer must keep to; None where anything goes.

    Args:
        conversation: what is asked.
        capabilities: what the engine can keep to.
        reduced_schema: the schema of the response format as the gateway has reduced it; empty: it is reduced here.

    Raises:
        UnsupportedFormat: a form is asked for and the engine keeps to none.
        InvalidRequest: the form's schema cannot be used.
    """
    wanted = conversation.response_format
    tools = callable_tools(conversation)
    can_keep = "constraint" in capabilities.sampling
    if wanted.type == _Format.TYPE_TEXT:
        is_after_call = bool(conversation.messages) and conversation.messages[-1].role == chat_pb2.ROLE_TOOL
        return _tool_answer(conversation, tools) if (tools or is_after_call) and can_keep else None
    if not can_keep:
        raise UnsupportedFormat("this expert's engine keeps to no response_format")
    form = reduced_schema or answer_schema(wanted)
    if not tools:
        return JsonAnswer(form)
    answer = _tool_answer(conversation, tools)
    return answer if answer.must_call else replace(answer, form=form)


def answer_schema(wanted: chat_pb2.ResponseFormat) -> str:
    """Reduce the schema of a `response_format`; return it serialised.

    Raises:
        InvalidRequest: it cannot be used.
    """
    if wanted.type == _Format.TYPE_JSON_OBJECT:
        return json.dumps(ANY_OBJECT)
    try:
        return reduced_text(wanted.schema_json, "strict" if wanted.strict else "loose")
    except SchemaError as error:
        raise InvalidRequest(f"response_format: {error}") from None


def tool_offer(
    conversation: chat_pb2.Conversation,
    *,
    is_constrained: bool,
    asks_for_missing: bool = False,
    is_told_of_plans: bool = True,
) -> ToolOffer | None:
    """Say what the answer may call; None where it may call nothing, and a tag is a word like any other.

    With `asks_for_missing`, a call whose required value nobody said becomes a question. Calls of who was not told of
    plans are no steps of one: a "$1" in them is what it costs.
    """
    tools = callable_tools(conversation)
    if not tools:
        return None
    schemas = {tool.name: schema for tool, schema in zip(tools, _arguments_schemas(tools), strict=True)}
    return ToolOffer(
        schemas,
        at_most_one=_at_most_one(conversation),
        is_constrained=is_constrained,
        is_plan=conversation.plan and is_told_of_plans,
        missing=missing_in(conversation) if asks_for_missing else None,
    )


def _tool_answer(conversation: chat_pb2.Conversation, tools: list[chat_pb2.Tool]) -> ToolAnswer:
    must_call = conversation.tool_choice.mode in (_Mode.MODE_REQUIRED, _Mode.MODE_NAMED)
    at_most_one = _at_most_one(conversation)
    return ToolAnswer(tuple(_affordable(tools)), must_call, at_most_one, is_plan=conversation.plan)


def _affordable(tools: list[chat_pb2.Tool]) -> Iterator[tuple[str, str]]:
    """Pair names with serialised schemas, as long as the engine can compile them in a moment."""
    left = MAX_TOOLS_CHARS
    for tool, reduced in zip(tools, _arguments_schemas(tools), strict=True):
        schema = json.dumps(_without_lengths(reduced))
        left -= len(schema)
        yield tool.name, schema if left >= 0 else json.dumps(ANY_OBJECT)


def _arguments_schemas(tools: list[chat_pb2.Tool]) -> list[Schema]:
    """Reduce the tools' parameters, within a bound that one request's tools share; strict ones the gateway bounds."""
    work, schemas = 0, []
    for tool in tools:
        if work > MAX_WORK and not tool.strict:
            schemas.append(ANY_OBJECT)
            continue
        arguments = arguments_of(tool.parameters_json, is_strict=tool.strict)
        work += arguments.work
        schemas.append(arguments.schema)
    return schemas


def _without_lengths(schema: Schema) -> Schema:
    """Leave the lengths of strings and lists to the check of whole calls: with many tools they are too many rules."""
    parts = {name: part for name, part in schema.items() if name not in _LENGTHS}
    for name in ("items", "additionalProperties"):
        if isinstance(parts.get(name), dict):
            parts[name] = _without_lengths(parts[name])
    for name in ("anyOf", "oneOf", "prefixItems"):
        if name in parts:
            parts[name] = [_without_lengths(part) for part in parts[name]]
    if "properties" in parts:
        parts["properties"] = {name: _without_lengths(part) for name, part in parts["properties"].items()}
    return parts


def _at_most_one(conversation: chat_pb2.Conversation) -> bool:
    return conversation.HasField("parallel_tool_calls") and not conversation.parallel_tool_calls
