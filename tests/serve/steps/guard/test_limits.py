"""Limits on what a request holds: counted, or refused with the field's name."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc.aio
import httpx2
import pytest
import pytest_asyncio
import yaml

from protos import chat_pb2 as chat
from protos import gateway_pb2
from protos.gateway_pb2_grpc import GatewayStub
from serve.app import App
from serve.settings.tree import Settings
from serve.steps.guard.limits import FindLimits, depth, over
from serve.steps.guard.rules import GuardFile
from tests.fakes.expert_server import FakeExperts
from tests.helpers import CHAT

DEEP = '{"type": "object", "properties": {"a": {"type": "object", "properties": {"b": {"type": "array"}}}}}'
TALK = chat.Conversation(
    messages=[chat.Message(role=chat.ROLE_USER, content="12345"), chat.Message(role=chat.ROLE_USER, content="123")],
    documents=[chat.Document(title="T", text="1234")],
    tools=[chat.Tool(name="f", parameters_json="{}"), chat.Tool(name="g", parameters_json=DEEP)],
)


def limits(**fields: Any) -> FindLimits:
    return FindLimits.model_validate({"kind": "limits", **fields})


@pytest.mark.parametrize(
    ("fields", "param", "why"),
    [
        ({"messages": 1}, "messages", "2 messages, at most 1"),
        ({"documents": 0}, "documents", "1 documents, at most 0"),
        ({"tools": 1}, "tools", "2 tools, at most 1"),
        ({"message_chars": 4}, "messages[0].content", "5 characters, at most 4"),
        ({"document_chars": 4}, "documents[0]", "5 characters, at most 4"),
        ({"chars": 12}, "messages", "13 characters with calls and documents, at most 12"),
        ({"schema_chars": 50}, "tools[1].function.parameters", f"{len(DEEP)} characters, at most 50"),
        ({"schema_depth": 4}, "tools[1].function.parameters", "5 levels, at most 4"),
    ],
)
def test_one_over_a_limit_is_named_and_one_at_it_is_not(fields: dict[str, int], param: str, why: str) -> None:
    [found] = over(limits(**fields), TALK)
    assert (found.param, found.why) == (param, why)
    held = {name: int(why.split(maxsplit=1)[0]) for name in fields}
    assert not list(over(limits(**held), TALK))


def test_an_answers_form_is_a_schema_too() -> None:
    asked = chat.Conversation(response_format=chat.ResponseFormat(schema_json=DEEP))
    assert [one.param for one in over(limits(schema_depth=1, schema_chars=9), asked)] == ["response_format"] * 2


def test_a_raw_prompt_has_a_length_alone() -> None:
    every = limits(messages=1, message_chars=3, documents=1, tools=1, schema_depth=1)
    assert [(one.param, one.why) for one in over(every, "12345")] == [("prompt", "5 characters, at most 3")]


def test_depth_of_a_schema_that_is_as_deep_as_json_may_be() -> None:
    value: Any = 1
    for _ in range(100_000):  # a recursive count would end the process
        value = [value]
    assert depth(value) == 100_000
    assert depth("text") == 0


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"find": {"kind": "limits"}}, "at least one limit"),
        ({"find": {"kind": "limits", "tools": -1}}, "greater than or equal to 0"),
        ({"find": {"kind": "limits", "tools": 1}, "at": ["output"]}, "limits are of the input"),
        ({"find": {"kind": "limits", "tools": 1}, "action": "mask"}, "block or monitor"),
    ],
)
def test_a_wrong_rule_is_refused(rule: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GuardFile.model_validate({"rules": [{"name": "size", "at": ["input"], **rule}]})


@pytest_asyncio.fixture
async def app(settings: Settings, tmp_path: Path) -> AsyncIterator[App]:
    path = tmp_path / "guard.yaml"
    find = {"kind": "limits", "messages": 2, "tools": 1}
    size = {"name": "size", "find": find, "at": ["input"], "action": "block"}
    seen = {"name": "seen", "find": {"kind": "limits", "message_chars": 9}, "at": ["input"]}
    path.write_text(yaml.safe_dump({"rules": [seen, size]}))
    app = App(settings.model_copy(update={"guard": settings.guard.model_copy(update={"rules": path})}))
    await app.start()
    yield app
    await app.stop()


@pytest.mark.parametrize("is_stream", [False, True])
async def test_both_doors_name_the_field(
    http: httpx2.AsyncClient, stub: GatewayStub, experts: FakeExperts, is_stream: bool
) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
    other = {"type": "function", "function": {**tool["function"], "name": "g"}}  # type: ignore[dict-item]
    body = {"model": "coder", "messages": [{"role": "user", "content": "hi"}], "stream": is_stream}
    error = (await http.post(CHAT, json=body | {"tools": [tool, other]})).json()["error"]
    assert (error["code"], error["param"]) == ("content_blocked", "tools")
    assert error["message"] == "the request is blocked by the rule 'size': tools: 2 tools, at most 1"
    talk = chat.Conversation(messages=[chat.Message(role=chat.ROLE_USER, content="hi")] * 3)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Complete(gateway_pb2.GenerateRequest(model="coder", conversation=talk))
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "messages: 3 messages, at most 2" in str(caught.value.details())
    assert not experts["coder"].requests


async def test_a_limit_that_monitors_counts(http: httpx2.AsyncClient) -> None:
    body = {"model": "coder", "messages": [{"role": "user", "content": "0123456789"}]}
    answer = await http.post(CHAT, json=body)
    assert (answer.status_code, answer.headers["x-moegate-guard"]) == (200, "seen=monitor:1")
    told = (await http.post("/v1/guard", json={"text": "0123456789"})).json()
    assert [hit["why"] for hit in told["hits"]] == ["10 characters, at most 9"]
