"""What a replica says of requests that no gateway checked: INVALID_ARGUMENT or an answer, never INTERNAL."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experts.catalog.prices import Price, UsdPerMillion
from experts.catalog.spec import ExpertSpec
from experts.cluster.deployment import ExpertDeployment, InternalError
from experts.engine import Capabilities, EngineError
from experts.engines.echo import EchoEngine
from protos import chat_pb2 as chat
from protos import expert_pb2 as pb

SPEC = ExpertSpec(
    name="echo",
    description="repeats",
    base="pypi:none",
    engine="echo",
    context_window=100_000,
    licence="MIT",
    price=Price(usd_per_million=UsdPerMillion(prompt=0, completion=0)),
)
USER = chat.Message(role=chat.ROLE_USER, content="hello")
OPENINGS = ["[", "{", '{"a":', '[{"b":[', '{"properties":{"a":', '{"items":', '{"anyOf":[', '"[', "[1,", "((("]


class Keeping(EchoEngine):
    """Says that it keeps to forms, so that all of a request is read."""

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, sampling=frozenset({"max_tokens", "stop", "constraint"}))


class Context:
    code: grpc.StatusCode | None = None

    def set_code(self, code: grpc.StatusCode) -> None:
        self.code = code

    def set_details(self, details: str) -> None: ...

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return ()


def history(arguments: str) -> chat.Conversation:
    call = chat.ToolCall(id="1", name="f", arguments=arguments)
    answer = chat.Message(role=chat.ROLE_ASSISTANT, tool_calls=[call])
    result = chat.Message(role=chat.ROLE_TOOL, tool_call_id="1", content=arguments)
    return chat.Conversation(messages=[USER, answer, result, USER])


PLACES: dict[str, Any] = {
    "arguments": history,
    "parameters": lambda text: chat.Conversation(messages=[USER], tools=[chat.Tool(name="f", parameters_json=text)]),
    "schema": lambda text: chat.Conversation(
        messages=[USER],
        response_format=chat.ResponseFormat(type=chat.ResponseFormat.TYPE_JSON_SCHEMA, schema_json=text),
    ),
    "content": lambda text: chat.Conversation(messages=[chat.Message(role=chat.ROLE_USER, content=text or "x")]),
    "document": lambda text: chat.Conversation(messages=[USER], documents=[chat.Document(text=text)]),
    "name": lambda text: chat.Conversation(messages=[USER], tools=[chat.Tool(name=text, description=text)]),
}


async def ask(conversation: chat.Conversation) -> grpc.StatusCode:
    """Ask; returns the status. An answer must be one that can be sent."""
    deployment, context = ExpertDeployment(SPEC, Keeping), Context()
    request = pb.GenerateRequest(conversation=conversation, sampling=chat.Sampling(max_tokens=3))
    try:
        async for chunk in deployment.Generate(request, context):
            chunk.SerializeToString()
    except (EngineError, InternalError):
        assert context.code is not None
        return context.code
    return grpc.StatusCode.OK


@pytest.mark.parametrize("place", PLACES)
@settings(max_examples=60)
@given(st.sampled_from(OPENINGS), st.sampled_from([1, 40, 249, 251, 600, 985, 1_000, 10_000]), st.booleans())
async def test_depth_in_any_place(place: str, opening: str, levels: int, is_closed: bool) -> None:
    closing = "".join({"[": "]", "{": "}"}.get(c, "") for c in reversed(opening)) * levels if is_closed else ""
    status = await ask(PLACES[place](opening * levels + closing))
    assert status in (grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT)


@pytest.mark.parametrize("place", PLACES)
@settings(max_examples=100)
@given(st.text(alphabet=st.sampled_from('{}[]:,"\\ud83aeE+-.019nul\x00\n\u2028é😀'), max_size=60))
async def test_almost_json_in_any_place(place: str, text: str) -> None:
    assert await ask(PLACES[place](text)) in (grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "text",
    [
        r'{"a": "\ud83d"}',
        r'{"\udc00": 1}',
        r'{"type": "object", "properties": {"\ud83d": {"description": "\ud800", "default": "\udfff"}}}',
        r'{"enum": ["\ud83d", "é"]}',
        '{"a": NaN, "b": -Infinity, "c": 1e999}',
        '{"a": ' + "9" * 5_000 + "}",
        '{"a": 1}' * 2,
        json.dumps({"a": ["," * 1_000] * 1_000}),
        "[" + "1," * 60_000 + "1]",
        "\x00",
    ],
)
async def test_odd_json_in_any_place(place: str, text: str) -> None:
    assert await ask(PLACES[place](text)) in (grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT)


async def test_arguments_that_are_no_json_are_quoted_and_deep_ones_refused() -> None:
    assert await ask(history("rm -rf {oops")) is grpc.StatusCode.OK
    assert await ask(history("")) is grpc.StatusCode.OK
    assert await ask(history(r'{"a": "\ud83d"}')) is grpc.StatusCode.OK
    assert await ask(history("[" * 1000)) is grpc.StatusCode.INVALID_ARGUMENT


async def test_what_nobody_foresaw_about_a_request_is_the_requests(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for failure in (RecursionError(), KeyError("secret"), UnicodeEncodeError("utf-8", "secret", 0, 1, "secret")):

        def fail(*_: object, failure: Exception = failure) -> None:
            raise failure

        monkeypatch.setattr("experts.cluster.deployment.render_for", fail)
        assert await ask(history("{}")) is grpc.StatusCode.INVALID_ARGUMENT
    assert "secret" not in caplog.text
