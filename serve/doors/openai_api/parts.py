"""The parts of a chat request's body (messages, tools, response format), and their translation for the core.

`serve.doors.openai_api.bodies` puts bodies together from them. Source:
https://platform.openai.com/docs/api-reference/chat/create.
"""

from collections.abc import Mapping, Sequence, Set
from typing import Annotated, Any, Literal, TypeVar

import orjson
from pydantic import BeforeValidator, Discriminator, Field, Tag

from experts.conversation.request_limits import MAX_TOOL_CALLS
from protos import chat_pb2 as chat
from serve.doors.json_body import Body, OtherType, by_type
from serve.doors.not_offered import NotOffered
from serve.doors.openai_api.content import Content
from serve.doors.own_fields import ToolsetBody
from serve.errors import InvalidRequest

_ROLES = {
    "system": chat.ROLE_SYSTEM,
    "developer": chat.ROLE_SYSTEM,
    "user": chat.ROLE_USER,
    "assistant": chat.ROLE_ASSISTANT,
    "tool": chat.ROLE_TOOL,
}
CHOICES = {
    "none": chat.ToolChoice.MODE_NONE,
    "auto": chat.ToolChoice.MODE_AUTO,
    "required": chat.ToolChoice.MODE_REQUIRED,
}


class FunctionCallBody(Body):
    """The function part of an assistant's tool call."""

    name: str
    arguments: str


class ToolCallBody(Body):
    """An assistant's tool call, as a client sends it back."""

    id: str
    type: Literal["function"] = "function"
    function: FunctionCallBody


ToolCall = Annotated[
    Annotated[ToolCallBody, Tag("Function")] | OtherType, by_type(function="Function", missing="Function")
]


class MessageBody(Body):
    """One turn of the conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Content = None
    refusal: str | None = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = Field(None, max_length=MAX_TOOL_CALLS)
    tool_call_id: str | None = None
    function_call: Annotated[object, NotOffered()] = None
    audio: Annotated[object, NotOffered()] = None


class FunctionBody(Body):
    """A function the model may call."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


F = TypeVar("F", bound=FunctionBody)


class ToolBody(Body):
    """A tool the model may call."""

    type: Literal["function"]
    function: FunctionBody


Tool = Annotated[
    Annotated[ToolBody, Tag("Function")] | Annotated[ToolsetBody, Tag("Toolset")] | OtherType,
    by_type(function="Function", missing="Function", toolset="Toolset"),
]


class NamedFunction(Body):
    """The function part of a named tool choice."""

    name: str


class NamedToolChoice(Body):
    """A tool choice that names one function."""

    type: Literal["function"]
    function: NamedFunction


class AllowedTools(Body):
    """Which tools may be called, and whether one must be."""

    mode: Literal["auto", "required"]
    tools: list[NamedToolChoice]


class AllowedToolsChoice(Body):
    """A tool choice that narrows the tools down, so that a client can keep its list of tools the same throughout."""

    type: Literal["allowed_tools"]
    allowed_tools: AllowedTools


def _as_choice(value: object) -> object:
    """Read the flat form that the Responses API has, which some clients send here: `name`, or `tools`, at the top."""
    kind = value.get("type") if isinstance(value, dict) else None
    if not isinstance(value, dict) or kind not in ("function", "allowed_tools") or kind in value:
        return value
    inner = {name: part for name, part in value.items() if name != "type"}
    if isinstance(inner.get("tools"), list):
        inner["tools"] = [_as_choice(tool) for tool in inner["tools"]]
    return {"type": kind, kind: inner}


def _choice_kind(value: object) -> str:
    kinds = {"function": "Named", "allowed_tools": "Allowed"}
    if not isinstance(value, dict | Body):
        return "Word"
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return kinds.get(kind, "Other") if isinstance(kind, str) else "Other"


ToolChoice = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("Word")]
    | Annotated[NamedToolChoice, Tag("Named")]
    | Annotated[AllowedToolsChoice, Tag("Allowed")]
    | OtherType,
    Discriminator(_choice_kind),
    BeforeValidator(_as_choice),
]


class JsonSchemaBody(Body):
    """The schema of a response format."""

    name: str | None = None
    schema_: dict[str, Any] | None = Field(None, alias="schema")
    strict: bool | None = None


class ResponseFormat(Body):
    """What form the answer takes."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchemaBody | None = None
    schema_: Annotated[object, NotOffered()] = Field(None, alias="schema")  # llama.cpp's and others' place for it


def to_message(body: MessageBody, where: str) -> chat.Message:
    """Translate a message; `where` is its place in the request.

    Raises:
        InvalidRequest: it has no content. Only an assistant may have none: it called tools, refused, or said nothing.
    """
    content = body.content
    if content is None:
        if body.role != "assistant":
            raise InvalidRequest(f"'{where}.content' is required; it may be empty", param=f"{where}.content")
        content = body.refusal or ""
    calls = [
        chat.ToolCall(id=call.id, name=call.function.name, arguments=call.function.arguments)
        for call in body.tool_calls or ()
        if isinstance(call, ToolCallBody)  # others were refused when they were read
    ]
    return chat.Message(
        role=_ROLES[body.role],
        content=content,
        name=body.name or "",
        tool_calls=calls,
        tool_call_id=body.tool_call_id or "",
    )


def to_tool(function: FunctionBody) -> chat.Tool:
    """Translate a tool."""
    schema = "" if function.parameters is None else orjson.dumps(function.parameters).decode()
    return chat.Tool(
        name=function.name,
        description=function.description or "",
        parameters_json=schema,
        strict=bool(function.strict),
    )


def to_response_format(body: ResponseFormat | None) -> chat.ResponseFormat | None:
    """Translate a response format; text, which asks for nothing, is None.

    Raises:
        InvalidRequest: its schema is missing.
    """
    if body is None or body.type == "text":
        return None
    if body.type == "json_object":
        return chat.ResponseFormat(type=chat.ResponseFormat.TYPE_JSON_OBJECT)
    if body.json_schema is None:
        raise InvalidRequest("'response_format.json_schema' is required", param="response_format.json_schema")
    schema = orjson.dumps(body.json_schema.schema_ or {}).decode()
    return chat.ResponseFormat(
        type=chat.ResponseFormat.TYPE_JSON_SCHEMA, schema_json=schema, strict=bool(body.json_schema.strict)
    )


def kept_tools(tools: Sequence[Tool], choice: ToolChoice | None) -> dict[int, FunctionBody]:
    """Find the functions that may be called, by their places: all, or those that the tool choice allows.

    Raises:
        InvalidRequest: it allows one that is not there.
    """
    functions = {place: tool.function for place, tool in enumerate(tools) if isinstance(tool, ToolBody)}
    if isinstance(choice, AllowedToolsChoice):
        refuse_toolsets(tools, "tool_choice")
        names = {tool.function.name for tool in choice.allowed_tools.tools}
        functions = only_allowed(functions, names, "tool_choice.allowed_tools.tools")
    return functions


def to_tools(tools: Sequence[Tool], choice: ToolChoice | None) -> list[chat.Tool]:
    """Translate the tools that may be called.

    Raises:
        InvalidRequest: the tool choice allows one that is not there.
    """
    return [to_tool(function) for function in kept_tools(tools, choice).values()]


def refuse_toolsets(tools: Sequence[object], where: str) -> None:
    """Refuse a tool choice that narrows the tools down beside sets of tools; `where` is its place in the request.

    Raises:
        InvalidRequest: there is a set.
    """
    if any(isinstance(tool, ToolsetBody) for tool in tools):
        raise InvalidRequest(f"'{where}': 'allowed_tools' and a toolset do not go together", param=where)


def only_allowed(functions: Mapping[int, F], names: Set[str], where: str) -> dict[int, F]:
    """Keep the functions of these names, by their places; `where` is the names' own place in the request.

    Raises:
        InvalidRequest: a name is of none of them.
    """
    if not names <= {function.name for function in functions.values()}:
        raise InvalidRequest(f"'{where}' names a tool that is not in 'tools'", param=where)
    return {place: function for place, function in functions.items() if function.name in names}


def to_tool_choice(choice: ToolChoice | None) -> chat.ToolChoice | None:
    """Translate a tool choice."""
    if choice is None:
        return None
    if isinstance(choice, str):
        return chat.ToolChoice(mode=CHOICES[choice])
    if isinstance(choice, AllowedToolsChoice):
        return chat.ToolChoice(mode=CHOICES[choice.allowed_tools.mode])
    if isinstance(choice, NamedToolChoice):
        return chat.ToolChoice(mode=chat.ToolChoice.MODE_NAMED, name=choice.function.name)
    return None  # others were refused when they were read
