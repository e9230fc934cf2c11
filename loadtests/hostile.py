"""Requests of hostile or broken clients: each must be refused by name, and none may hurt other clients.

The kinds come from public bug reports against similar gateways and servers: nesting, sizes, wrong types, invalid text,
schemas that no grammar can hold. `loadtests.poison` sends them beside ordinary traffic.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from protos import chat_pb2 as chat
from protos import gateway_pb2 as pb

CHAT: Final = "/v1/chat/completions"
_ROLES: Final = {"user": chat.ROLE_USER, "assistant": chat.ROLE_ASSISTANT, "tool": chat.ROLE_TOOL}
_DEEP: Final = 20_000  # levels


@dataclass(frozen=True, slots=True)
class HostileHttp:
    """A request to the HTTP door, and the field that its refusal names; None where the body as a whole is refused."""

    name: str
    body: bytes
    param: str | None
    path: str = CHAT
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HostileGrpc:
    """A request to the gRPC door, and the field that its refusal names."""

    name: str
    request: pb.GenerateRequest
    param: str


def over_http() -> Iterator[HostileHttp]:
    """Every kind, as the HTTP door may be sent it."""
    yield from _bodies()
    for name, fields, param in _fields():
        yield HostileHttp(name, _body(**fields), param)


def over_grpc() -> Iterator[HostileGrpc]:
    """The kinds that typed messages leave room for."""
    for name, arguments in (("deep", _lists(1000)), ("deeper", _objects(_DEEP)), ("deep and cut", "[" * 1000)):
        call = chat.ToolCall(id="c", name="f", arguments=arguments)
        turn = chat.Message(role=chat.ROLE_ASSISTANT, tool_calls=[call])
        yield _grpc(f"{name} arguments", "messages[1].tool_calls[0].function.arguments", messages=[_user(), turn])
    for name, schema in _schemas():
        wanted = chat.ResponseFormat(type=chat.ResponseFormat.TYPE_JSON_SCHEMA, schema_json=schema, strict=True)
        yield _grpc(f"schema: {name}", "response_format", messages=[_user()], response_format=wanted)
    tool = chat.Tool(name="f", parameters_json=_objects(1000))
    yield _grpc("deep parameters", "tools[0].function.parameters", messages=[_user()], tools=[tool])
    many = [chat.Tool(name=f"f{i}", parameters_json="{}") for i in range(5000)]
    yield _grpc("many tools", "tools", messages=[_user()], tools=many)
    documents = [chat.Document(text="x")] * 1000
    yield _grpc("many documents", "documents", messages=[_user()], documents=documents)
    yield _grpc("no messages", "messages")
    yield _grpc("unknown role", "messages[0].role", messages=[chat.Message(content="hi")])


def _grpc(name: str, param: str, **fields: Any) -> HostileGrpc:  # noqa: ANN401  # a protobuf's fields
    return HostileGrpc(name, pb.GenerateRequest(conversation=chat.Conversation(**fields)), param)


def _user() -> chat.Message:
    return chat.Message(role=chat.ROLE_USER, content="Hello")


def _bodies() -> Iterator[HostileHttp]:
    """Bodies that are no request at all."""
    for name, body in (
        ("no JSON", b'{"messages": ['),
        ("no object", b"[]"),
        ("empty", b""),
        ("no UTF-8", b'{"messages": [{"role": "user", "content": "\xff\xfe"}]}'),
        ("NaN", b'{"messages": [{"role": "user", "content": "hi"}], "temperature": NaN}'),
        ("half a surrogate", b'{"messages": [{"role": "user", "content": "\\ud83d"}]}'),
        ("a list in a list", b"[" * _DEEP + b"]" * _DEEP),
        ("an object in an object", b'{"a":' * _DEEP + b"1" + b"}" * _DEEP),
        ("lists without an end", b"[" * 100_000),
    ):
        yield HostileHttp(name, body, None)


def _fields() -> Iterator[tuple[str, dict[str, Any], str]]:
    """Requests with one field that is wrong: a name, the fields, and what the refusal names."""
    where = "messages[1].tool_calls[0].function.arguments"
    for name, arguments in (("deep", _lists(1000)), ("deeper", _objects(_DEEP)), ("deep and cut", "[" * 1000)):
        yield f"{name} arguments", {"messages": [_said(), _called(arguments)]}, where
    yield "many messages", {"messages": [_said()] * 95_000}, "messages"
    yield "no messages", {"messages": []}, "messages"
    yield "messages are text", {"messages": "hello"}, "messages"
    yield "unknown role", {"messages": [{"role": "wizard", "content": "hi"}]}, "messages[0].role"
    yield "content is a number", {"messages": [{"role": "user", "content": 7}]}, "messages[0].content"
    yield "deep content", {"messages": [{"role": "user", "content": json.loads(_lists(200))}]}, "messages[0].content"
    yield "temperature is text", {"temperature": "hot"}, "temperature"
    yield "temperature out of range", {"temperature": 1e308}, "temperature"
    yield "tokens of a planet", {"max_tokens": 10**18}, "max_tokens"
    yield "tokens below nothing", {"max_tokens": -1}, "max_tokens"
    yield "many stops", {"stop": ["a"] * 1000}, "stop"
    yield "empty stop", {"stop": [""]}, "stop"
    yield "many tools", {"tools": [_tool(f"f{i}", {}) for i in range(5000)]}, "tools"
    yield "deep parameters", {"tools": [_tool("f", _nested(300))]}, "tools[0].function.parameters"
    yield "a tool's name", {"tools": [_tool("no such name!", {})]}, "tools[0].function.name"
    yield "many documents", {"documents": [{"text": "x"}] * 1000}, "documents"
    yield "an empty document", {"documents": [{"text": " "}]}, "documents[0].text"
    for name, schema in _schemas():
        strict = {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": json.loads(schema)}}
        yield f"schema: {name}", {"response_format": strict}, "response_format"


def _schemas() -> Iterator[tuple[str, str]]:
    yield "deep", json.dumps(_nested(300))
    yield "wide", json.dumps({"type": "object", "properties": {f"p{i}": {"type": "string"} for i in range(5000)}})
    yield "a cycle", '{"$ref": "#"}'
    yield "far away", '{"$ref": "https://example.com/schema.json"}'
    yield "nothing allowed", '{"type": "object", "properties": {"a": {"not": {}}}, "required": ["a"]}'


def _body(**fields: Any) -> bytes:  # noqa: ANN401  # JSON
    return json.dumps({"model": "auto", "messages": [_said()], "max_tokens": 8} | fields).encode()


def _said() -> dict[str, Any]:
    return {"role": "user", "content": "Hello"}


def _called(arguments: str) -> dict[str, Any]:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def _tool(name: str, parameters: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


def _nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


def _lists(levels: int) -> str:
    return "[" * levels + "]" * levels


def _objects(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels
