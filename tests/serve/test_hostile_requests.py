"""Requests that are too deep, too many or too long anywhere: a 400 that names the field, on both doors, and no harm."""

import json
from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio
import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experts.conversation.request_limits import BODY
from protos import chat_pb2 as chat
from protos import gateway_pb2 as pb
from protos.gateway_pb2_grpc import GatewayStub
from serve.doors.json_body import parse
from serve.doors.openai_api.bodies import ChatCompletionBody
from serve.errors import InvalidRequest, MoegateError
from serve.request import ChatRequest
from serve.validation.rules import validate
from tests.fakes.expert_server import FakeExperts
from tests.helpers import CHAT

USER = {"role": "user", "content": "hello"}
ARGUMENTS = "messages[1].tool_calls[0].function.arguments"


def history(arguments: Any) -> dict[str, Any]:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": arguments}}
    answer = {"role": "assistant", "content": None, "tool_calls": [call]}
    return {"messages": [USER, answer, {"role": "tool", "tool_call_id": "1", "content": "x"}, USER]}


def tool(parameters: Any) -> dict[str, Any]:
    return {"messages": [USER], "tools": [{"type": "function", "function": {"name": "f", "parameters": parameters}}]}


def form(schema: Any) -> dict[str, Any]:
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    return {"messages": [USER], "response_format": wanted}


NESTED: dict[str, tuple[Callable[[Any], dict[str, Any]], str]] = {
    "arguments": (history, ARGUMENTS),
    "parameters": (tool, "tools[0].function.parameters"),
    "schema": (form, "response_format"),
    "content": (lambda deep: {"messages": [{"role": "user", "content": deep}]}, "messages[0].content"),
    "part": (
        lambda deep: {"messages": [USER, {"role": "user", "content": [{"type": "text", "text": deep}]}]},
        "messages[1].content",
    ),
    "document": (lambda deep: {"messages": [USER], "documents": ["a", {"text": deep}]}, "documents[1].text"),
    "stop": (lambda deep: {"messages": [USER], "stop": deep}, "stop"),
    "metadata": (lambda deep: {"messages": [USER], "metadata": deep}, "metadata"),
    "unknown": (lambda deep: {"messages": [USER], "whatever": {"a": [deep]}}, "whatever"),
    "tool_choice": (lambda deep: {"messages": [USER], "tool_choice": deep}, "tool_choice"),
    "model": (lambda deep: {"messages": [USER], "model": deep}, "model"),
}


def body(place: str, deep: str) -> bytes:
    make, _ = NESTED[place]
    return json.dumps(make("DEEP")).replace('"DEEP"', deep).encode()


@pytest.mark.parametrize("place", NESTED)
@settings(max_examples=25)
@given(st.sampled_from(["[", '{"a":', '[1,{"b":', '{"items":{"c":[']), st.sampled_from([257, 1_000, 5_000]))
def test_what_is_nested_in_a_body_is_refused_by_its_name(place: str, opening: str, levels: int) -> None:
    closing = "".join({"[": "]", "{": "}"}.get(c, "") for c in reversed(opening))
    with pytest.raises(InvalidRequest) as refused:
        parse(ChatCompletionBody, body(place, opening * levels + "1" + closing * levels))
    assert refused.value.param == NESTED[place][1]
    assert f"more than {BODY.depth} levels" in refused.value.message


def checked(conversation: chat.Conversation) -> MoegateError | None:
    request = ChatRequest("1", "1", "grpc", "coder", conversation, chat.Sampling(), False, 0.0, 1.0)
    try:
        validate(request, max_tokens_limit=10)
    except MoegateError as error:
        return error
    return None


def conversation(arguments: str = "{}", parameters: str = "", schema: str | None = None) -> chat.Conversation:
    user = chat.Message(role=chat.ROLE_USER, content="x")
    call = chat.ToolCall(id="1", name="f", arguments=arguments)
    made = chat.Conversation(messages=[user, chat.Message(role=chat.ROLE_ASSISTANT, tool_calls=[call])])
    if parameters:
        made.tools.append(chat.Tool(name="f", parameters_json=parameters))
    if schema is not None:
        made.response_format.CopyFrom(
            chat.ResponseFormat(type=chat.ResponseFormat.TYPE_JSON_SCHEMA, schema_json=schema)
        )
    return made


@pytest.mark.parametrize(
    ("place", "param"),
    [
        ("arguments", ARGUMENTS),
        ("parameters", "tools[0].function.parameters"),
        ("schema", "response_format"),
    ],
)
@pytest.mark.parametrize(
    "text", ["[" * 1000, '{"a":' * 300, "[[1]," * 400, '{"a":[' * 126 + "1", "[" + "{}," * 60_000, " " * 2**20 + "{}"]
)
def test_a_text_that_is_nested_is_refused_by_its_name_on_every_door(place: str, param: str, text: str) -> None:
    error = checked(conversation(**{place: text}))
    assert isinstance(error, InvalidRequest)
    assert (error.param, error.http_status, error.grpc_status) == (param, 400, grpc.StatusCode.INVALID_ARGUMENT)


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "not JSON",
        "{",
        '{"a": "\\ud83d"}',
        '{"a": NaN}',
        "[" * 250,
        '{"code": "' + "[" * 2_000 + '"}',
        '{"a": ' + "9" * 5_000 + "}",
        json.dumps({"rows": [[i, i] for i in range(3_000)]}),
    ],
)
def test_arguments_as_models_write_them_are_taken(arguments: str) -> None:
    assert checked(conversation(arguments)) is None


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"messages": [USER] * 2_049}, "messages"),
        ({"messages": [USER] * 30_000}, "messages"),
        ({"messages": [USER], "tools": tool({})["tools"] * 129}, "tools"),
        ({"messages": [USER], "documents": ["a"] * 65}, "documents"),
        ({"messages": [USER], "stop": ["a"] * 5}, "stop"),
        ({"messages": [USER], "stop": ["a" * 1_025]}, "stop"),
        ({"messages": [USER], "metadata": [[]] * 100_001}, "metadata"),
        (
            {
                "messages": [
                    USER,
                    {**history("{}")["messages"][1], "tool_calls": history("{}")["messages"][1]["tool_calls"] * 129},
                ]
            },
            "messages[1].tool_calls",
        ),
        (history("[" * 1_000), ARGUMENTS),
    ],
)
async def test_too_much_of_anything_is_refused_by_its_name(
    http: httpx2.AsyncClient, experts: FakeExperts, wrong: dict[str, Any], param: str
) -> None:
    response = await http.post(CHAT, json=wrong)
    assert (response.status_code, response.json()["error"]["param"]) == (400, param)
    assert not any(script.requests for script in experts.scripts.values())


async def test_the_other_door_says_the_same(stub: GatewayStub, experts: FakeExperts) -> None:
    user = chat.Message(role=chat.ROLE_USER, content="x")
    many = chat.Message(role=chat.ROLE_ASSISTANT, tool_calls=[chat.ToolCall(id="1", name="f")] * 129)
    cases = [
        (conversation("[" * 1000), chat.Sampling(), ARGUMENTS),
        (conversation(parameters='{"a":' * 1000), chat.Sampling(), "tools[0].function.parameters"),
        (conversation(schema="[" * 1000), chat.Sampling(), "response_format"),
        (chat.Conversation(messages=[user] * 2_049), chat.Sampling(), "messages"),
        (chat.Conversation(messages=[user, many]), chat.Sampling(), "messages[1].tool_calls"),
        (chat.Conversation(messages=[user]), chat.Sampling(stop=["a" * 1_025]), "stop"),
    ]
    for asked, sampling, param in cases:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Complete(pb.GenerateRequest(model="coder", conversation=asked, sampling=sampling))
        trailers = dict(refused.value.trailing_metadata() or ())
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert trailers["x-moegate-error-param"] == param
    assert not experts["coder"].requests


async def test_half_a_surrogate_pair_that_we_wrote_can_be_sent_back(
    http: httpx2.AsyncClient, experts: FakeExperts
) -> None:
    response = await http.post(CHAT, json={"model": "coder", **history('{"a": "\\ud83d"}')})
    assert response.status_code == 200
    assert experts["coder"].requests[0].conversation.messages[1].tool_calls[0].arguments == '{"a": "\\ud83d"}'
