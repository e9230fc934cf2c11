"""A response_format goes to an expert that can keep to it, or is refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import grpc
import httpx2
import pytest

from experts.json_schema.schema_text import reduced_text
from protos import chat_pb2 as chat
from protos import gateway_pb2 as pb
from protos.gateway_pb2_grpc import GatewayStub
from serve.app import App
from tests.fakes.expert_server import FakeExperts
from tests.helpers import CHAT

HELLO = [{"role": "user", "content": "Write a Python function that adds two numbers."}]
OBJECT = {"type": "json_object"}


def schema(content: object, **fields: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": content, **fields}}


@pytest.fixture
async def able(app: App, experts: FakeExperts) -> None:
    """Two of the experts can, and neither is the one that the router likes best."""
    for name in ("advisor", "generalist"):
        experts[name].structured_output = True
    await app._health.probe_all()


@pytest.mark.usefixtures("able")
async def test_the_router_passes_over_experts_that_cannot(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    free = await http.post(CHAT, json={"messages": HELLO})
    held = await http.post(CHAT, json={"messages": HELLO, "response_format": OBJECT})
    assert free.headers["x-moegate-expert"] == "coder"
    assert held.status_code == 200
    assert held.headers["x-moegate-expert"] in {"advisor", "generalist"}
    [request] = experts[held.headers["x-moegate-expert"]].requests
    assert request.conversation.response_format.type == chat.ResponseFormat.TYPE_JSON_OBJECT


@pytest.mark.usefixtures("able")
async def test_a_fallback_stays_among_those_that_can(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    for name in ("advisor", "generalist"):
        experts[name].refuse = (grpc.StatusCode.UNAVAILABLE, "gone")
    response = await http.post(CHAT, json={"messages": HELLO, "response_format": OBJECT})
    assert (response.status_code, response.json()["error"]["code"]) == (503, "expert_unavailable")
    assert all(not experts[name].requests for name in ("coder", "researcher", "tool-caller"))


@pytest.mark.usefixtures("able")
async def test_a_pinned_expert_that_cannot_is_named(http: httpx2.AsyncClient) -> None:
    response = await http.post(CHAT, json={"model": "coder", "messages": HELLO, "response_format": OBJECT})
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (400, "unsupported_parameter", "response_format")
    assert "named in 'model'" in error["message"]


async def test_nobody_can(http: httpx2.AsyncClient, app: App) -> None:
    response = await http.post(CHAT, json={"messages": HELLO, "response_format": OBJECT})
    assert (response.status_code, response.json()["error"]["code"]) == (400, "unsupported_parameter")
    for health in app._health.experts.values():
        health.structured_output = None
    response = await http.post(CHAT, json={"messages": HELLO, "response_format": OBJECT})
    assert (response.status_code, response.json()["error"]["code"]) == (503, "expert_unavailable")


@pytest.mark.usefixtures("able")
async def test_an_experts_own_refusal_is_translated(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    experts["advisor"].refuse = (grpc.StatusCode.INVALID_ARGUMENT, "unsupported_response_format: 10.0.0.1 cannot")
    response = await http.post(CHAT, json={"model": "advisor", "messages": HELLO, "response_format": OBJECT})
    assert (response.status_code, response.json()["error"]["code"]) == (400, "unsupported_parameter")
    assert "10.0.0.1" not in response.text


@pytest.mark.usefixtures("able")
async def test_a_schema_reaches_the_expert(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    experts["advisor"].words = ['{"a": 1}']
    content = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    body = {"model": "advisor", "messages": HELLO, "response_format": schema(content, strict=True)}
    assert (await http.post(CHAT, json=body)).status_code == 200
    wanted = experts["advisor"].requests[0].conversation.response_format
    assert (wanted.type, wanted.strict) == (chat.ResponseFormat.TYPE_JSON_SCHEMA, True)
    assert wanted.schema_json == '{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]}'


NOW = {"type": "function", "function": {"name": "now"}}
DEEP: dict[str, Any] = {}
for _ in range(400):
    DEEP = {"items": DEEP}

BAD: list[tuple[object, str]] = [
    ({"type": "yaml"}, "response_format.type"),
    ({}, "response_format.type"),
    ("json_object", "response_format"),
    ({"type": "json_schema"}, "response_format.json_schema"),
    (schema("x"), "response_format.json_schema.schema"),
    (schema({"type": "banana"}), "response_format"),
    (schema({"$ref": "#"}), "response_format"),
    (schema({"$ref": "https://127.0.0.1:1/schema.json"}), "response_format"),
    (
        schema({"$ref": "#/$defs/a", "$defs": {"a": {"items": {"$ref": "#/$defs/a"}, "type": "array", "minItems": 1}}}),
        "response_format",
    ),
    (schema({"enum": ["x" * 70_000]}), "response_format"),
    (schema({"anyOf": [{"anyOf": [{"type": "null"}] * 60}] * 60}), "response_format"),
    (schema(DEEP), "response_format"),
    (schema({"type": "string", "pattern": "^(a+)\\1$"}, strict=True), "response_format"),
]


@pytest.mark.usefixtures("able")
@pytest.mark.parametrize(("response_format", "param"), BAD)
async def test_bad_formats_are_refused_before_any_expert(
    http: httpx2.AsyncClient, experts: FakeExperts, response_format: object, param: str
) -> None:
    response = await http.post(CHAT, json={"model": "advisor", "messages": HELLO, "response_format": response_format})
    assert (response.status_code, response.json()["error"]["param"]) == (400, param)
    assert not experts["advisor"].requests


@pytest.mark.usefixtures("able")
@pytest.mark.parametrize(
    ("words", "finish", "status"),
    [
        (['{"v": 1}'], "stop", 200),
        (['<tool_call>{"name": "now", "arguments": {}}</tool_call>'], "tool_calls", 200),
        (["It is noon."], "", 502),
    ],
)
async def test_beside_tools_it_is_the_form_of_an_answer_that_calls_none(
    http: httpx2.AsyncClient, experts: FakeExperts, words: list[str], finish: str, status: int
) -> None:
    experts["advisor"].words = words
    body = {"model": "advisor", "messages": HELLO, "response_format": schema(UNIT, strict=True), "tools": [NOW]}
    response = await http.post(CHAT, json=body)
    assert response.status_code == status, response.text
    if status == 200:
        assert response.json()["choices"][0]["finish_reason"] == finish
        assert response.headers.get("x-moegate-form") == ("ok" if finish == "stop" else None)
    streamed = await http.post(CHAT, json={**body, "stream": True})
    assert ("answer_invalid" in streamed.text, streamed.text.endswith("[DONE]\n\n")) == (status != 200, status == 200)


@pytest.mark.usefixtures("able")
async def test_grpc(stub: GatewayStub, experts: FakeExperts) -> None:
    def ask(wanted: chat.ResponseFormat, model: str) -> pb.GenerateRequest:
        messages = [chat.Message(role=chat.ROLE_USER, content="hi")]
        conversation = chat.Conversation(messages=messages, response_format=wanted)
        return pb.GenerateRequest(model=model, conversation=conversation)

    held = chat.ResponseFormat(type=chat.ResponseFormat.TYPE_JSON_OBJECT)
    assert (await stub.Complete(ask(held, "auto"))).expert in {"advisor", "generalist"}
    bad = chat.ResponseFormat(type=chat.ResponseFormat.TYPE_JSON_SCHEMA, schema_json="{")
    for wanted, model in ((held, "coder"), (bad, "advisor")):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Complete(ask(wanted, model))
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert dict(caught.value.trailing_metadata() or ())["x-moegate-error-param"] == "response_format"


UNIT = {"type": "object", "properties": {"v": {"type": "number", "minimum": 0}}, "required": ["v"]}
STRICT = schema(UNIT, strict=True)
BROKEN = ['{"v": -1}', "{}", "", "-", '{"v": 0:5}', '{"v": 1, "v": 1}', '{"v": 1e999}', "[" * 3000, '{"v": 1} {']


def events(text: str) -> list[Any]:
    return [json.loads(line.removeprefix("data: ")) for line in text.split("\n\n") if line and "[DONE]" not in line]


@pytest.mark.usefixtures("able")
@pytest.mark.parametrize("answer", BROKEN)
async def test_a_strict_answer_that_breaks_its_schema_is_an_error(
    http: httpx2.AsyncClient, experts: FakeExperts, sample: Callable[..., float], answer: str
) -> None:
    experts["advisor"].words = list(answer) or [""]
    body = {"model": "advisor", "messages": HELLO, "response_format": STRICT}
    response = await http.post(CHAT, json=body)
    assert (response.status_code, response.json()["error"]["code"]) == (502, "answer_invalid")
    assert response.headers["x-should-retry"] == "false"
    assert experts["advisor"].requests[0].whole, "nobody reads it before its end: the replica may make it once more"
    streamed = await http.post(CHAT, json={**body, "stream": True})
    assert "[DONE]" not in streamed.text
    *pieces, last = events(streamed.text)
    assert last["error"]["code"] == "answer_invalid"
    assert all(piece["choices"][0]["finish_reason"] is None for piece in pieces)
    assert not experts["advisor"].requests[1].whole
    assert sample("moegate_structured_answers_total", expert="advisor", outcome="invalid") == 2
    assert sample("moegate_requests_total", expert="advisor", door="http", outcome="answer_invalid") == 2


@pytest.mark.usefixtures("able")
@pytest.mark.parametrize(
    ("wanted", "answer", "is_cut", "form"),
    [
        (STRICT, '{"v": 0.75}', False, "ok"),
        (STRICT, '{"v": 0.', True, "cut"),
        (schema(UNIT), '{"v": -1}', False, "invalid"),
        (OBJECT, "{}", False, "ok"),
    ],
)
async def test_what_became_of_the_form_is_told(
    http: httpx2.AsyncClient,
    experts: FakeExperts,
    sample: Callable[..., float],
    wanted: dict[str, Any],
    answer: str,
    is_cut: bool,
    form: str,
) -> None:
    experts["advisor"].words, experts["advisor"].is_cut = list(answer), is_cut
    body = {"model": "advisor", "messages": HELLO, "response_format": wanted}
    response = await http.post(CHAT, json=body)
    [choice] = response.json()["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == (answer, "length" if is_cut else "stop")
    assert response.headers["x-moegate-form"] == form
    assert sample("moegate_structured_answers_total", expert="advisor", outcome=form) == 1
    assert "[DONE]" in (await http.post(CHAT, json={**body, "stream": True})).text


@pytest.mark.usefixtures("able")
async def test_grpc_tells_it_too(stub: GatewayStub, experts: FakeExperts) -> None:
    wanted = chat.ResponseFormat(type=chat.ResponseFormat.TYPE_JSON_SCHEMA, schema_json=json.dumps(UNIT), strict=True)
    conversation = chat.Conversation(messages=[chat.Message(role=chat.ROLE_USER, content="hi")], response_format=wanted)
    request = pb.GenerateRequest(model="advisor", conversation=conversation)
    experts["advisor"].words = ['{"v": 1}']
    assert (await stub.Complete(request)).summary.form == chat.FORM_OUTCOME_OK
    experts["advisor"].words = ['{"v": -1}']
    with pytest.raises(grpc.aio.AioRpcError) as whole:
        await stub.Complete(request)
    with pytest.raises(grpc.aio.AioRpcError) as streamed:
        async for chunk in stub.Generate(request):
            assert not chunk.HasField("summary"), "nothing says that it ended well"
    for caught in (whole, streamed):
        assert caught.value.code() is grpc.StatusCode.ABORTED
        assert dict(caught.value.trailing_metadata() or ())["x-moegate-error-code"] == "answer_invalid"


@pytest.mark.usefixtures("able")
async def test_a_broken_answer_opens_no_circuit(http: httpx2.AsyncClient, app: App, experts: FakeExperts) -> None:
    experts["advisor"].words = ["no JSON"]
    for _ in range(8):
        await http.post(CHAT, json={"model": "advisor", "messages": HELLO, "response_format": STRICT})
    assert not app._dispatcher.is_open("advisor")


@pytest.mark.usefixtures("able")
async def test_the_schema_is_reduced_once(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    reduced_text.cache_clear()
    content = {"$ref": "#/$defs/x", "required": ["w"], "$defs": {"x": UNIT}}
    body = {"model": "advisor", "messages": HELLO, "response_format": schema(content, strict=True)}
    experts["advisor"].words = ['{"v": 1, "w": 2}']
    assert (await http.post(CHAT, json=body)).status_code == 200
    assert reduced_text.cache_info().misses == 1
    [request] = experts["advisor"].requests
    assert json.loads(request.reduced_schema)["required"] == ["w", "v"]


VALID: list[object] = [
    {"properties": {"a": {"anyOf": [{"type": "null"}]}, "b": {"$ref": "#/properties/a/anyOf/0"}}},
    {"properties": {"a": {"$ref": "#/$defs/Box%3Cstring%3E"}}, "$defs": {"Box<string>": {"type": "null"}}},
    {"type": "integer", "maximum": 2**63},
    {"type": "number", "minimum": -1e200},
    {"type": "array", "items": [{"type": "string"}, {"type": "null"}]},
    {"type": "array", "items": False},
    {"type": "object", "properties": {"a\u00a0b": {}, "\u3000": {}, "x\ny": {}, "👩\u200d💻": {}, "می\u200cخواهم": {}}},
    {"enum": ["a\u00a0b", "\u3000", "x\ny", "👩\u200d💻", "क्\u200dष", 'say "hi"']},
    {"enum": [int("7" * 18), 1.5, None, ["a"], {"b": 1}]},
    {"type": "string", "pattern": "^(a+)+$"},
    {"type": "number", "exclusiveMinimum": 0, "multipleOf": 0.01},
    {"properties": {f"p{n}": {"type": "string"} for n in range(100)}},
    {"enum": [f"v{n}" for n in range(600)]},
    {"properties": {"v": {"format": "hostname"}, "w": {"format": "uri"}, "next": {"$ref": "#"}}},
    {"type": "array", "items": {"type": "integer"}, "uniqueItems": True},
]


@pytest.mark.usefixtures("able")
@pytest.mark.parametrize("content", VALID, ids=lambda content: str(content)[:30])
async def test_valid_schemas_are_taken(http: httpx2.AsyncClient, content: object) -> None:
    for strict in (False, True):
        wanted = schema(content, strict=strict)
        response = await http.post(CHAT, json={"model": "advisor", "messages": HELLO, "response_format": wanted})
        assert response.status_code == (502 if strict else 200), response.text  # "Hello there!" is no JSON


@pytest.mark.usefixtures("able")
async def test_an_enum_of_many_digits_is_taken_or_refused_by_name(stub: GatewayStub, experts: FakeExperts) -> None:
    def ask(digits: int) -> pb.GenerateRequest:
        wanted = chat.ResponseFormat(
            type=chat.ResponseFormat.TYPE_JSON_SCHEMA, schema_json=f'{{"enum": [{"7" * digits}]}}', strict=True
        )
        messages = [chat.Message(role=chat.ROLE_USER, content="hi")]
        conversation = chat.Conversation(messages=messages, response_format=wanted)
        return pb.GenerateRequest(model="advisor", conversation=conversation)

    experts["advisor"].words = ["7" * 400]
    assert (await stub.Complete(ask(400))).summary.form == chat.FORM_OUTCOME_OK
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Complete(ask(5000))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
