"""Tools, schemas, documents and history, from the replica's own request to the server's, and back."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from experts.cluster.deployment import ExpertDeployment
from experts.engine import EngineError
from experts.engines.factory import build_engine
from protos import chat_pb2, expert_pb2
from tests.experts.entries import expert_spec
from tests.fakes.openai_server import DONE, FakeOpenAI, Refusal, call_event, event, openai_server, words

USER, ASSISTANT, TOOL = chat_pb2.ROLE_USER, chat_pb2.ROLE_ASSISTANT, chat_pb2.ROLE_TOOL
WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city"],
}


class Context:
    def __init__(self) -> None:
        self.code: Any = None
        self.details = ""

    def set_code(self, code: grpc.StatusCode) -> None:
        self.code = code

    def set_details(self, details: str) -> None:
        self.details = details

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return ()


@asynccontextmanager
async def replica(script: Any, options: dict[str, Any] | None = None, **fields: Any) -> AsyncIterator[Any]:
    async with openai_server(FakeOpenAI(script)) as server:
        wanted = {"base_url": server.base_url, "model": "theirs", **(options or {})}
        spec = expert_spec(engine="upstream", engine_options=wanted, context_window=9000, **fields)
        engine = build_engine(spec, None)
        deployment = ExpertDeployment(spec, lambda _: engine)
        await deployment.check_health()
        try:
            yield deployment, server
        finally:
            await engine.stop()


def conversation(*messages: chat_pb2.Message, **fields: Any) -> chat_pb2.Conversation:
    said = messages or (chat_pb2.Message(role=USER, content="Will it rain in Bern?"),)
    return chat_pb2.Conversation(messages=said, **fields)


def tool(**fields: Any) -> chat_pb2.Tool:
    return chat_pb2.Tool(name="weather", description="forecast", parameters_json=json.dumps(WEATHER), **fields)


async def ask(deployment: ExpertDeployment, asked: chat_pb2.Conversation, **fields: Any) -> list[Any]:
    request = expert_pb2.GenerateRequest(conversation=asked, **fields)
    return [chunk async for chunk in deployment.Generate(request, Context())]


def calls_of(chunks: list[Any]) -> list[tuple[str, Any]]:
    made: dict[int, list[str]] = {}
    for delta in (delta for chunk in chunks for delta in chunk.tool_calls):
        name, arguments = made.setdefault(delta.index, ["", ""])
        made[delta.index] = [name + delta.name, arguments + delta.arguments]
    return [(name, json.loads(arguments)) for name, arguments in made.values()]


async def test_native_calls_come_back_as_ours_and_their_arguments_stream() -> None:
    script = [
        call_event(0, "", name="weather"),
        *(piece for text in ('{"ci', 'ty": "Be', 'rn"}') for piece in (call_event(0, text), 0.03)),
        call_event(1, '{"city": "Chur", "days": 2}', name="weather"),
        event(finish="tool_calls"),
        DONE,
    ]
    async with replica(script) as (deployment, server):
        chunks = await ask(deployment, conversation(tools=[tool(strict=True)]))
    assert calls_of(chunks) == [("weather", {"city": "Bern"}), ("weather", {"city": "Chur", "days": 2})]
    assert sum(1 for chunk in chunks for delta in chunk.tool_calls if delta.arguments) >= 4
    assert "".join(chunk.text for chunk in chunks) == ""
    end = chunks[-1].completion
    assert (end.finish_reason, end.tool_calls.ok) == (chat_pb2.FINISH_REASON_TOOL_CALLS, 2)
    assert end.usage.estimated
    [sent] = server.asked
    assert sent["tools"] == [
        {
            "type": "function",
            "function": {"name": "weather", "description": "forecast", "parameters": WEATHER, "strict": True},
        }
    ]
    assert "tool_choice" not in sent


@pytest.mark.parametrize("offered", ["native", "text"])
async def test_calls_of_a_server_that_knows_no_plans_are_no_steps(offered: str) -> None:
    costs = ['{"city": "costs $5"}', '{"city": "costs $1"}']
    native = [
        *(call_event(at, text, name="weather") for at, text in enumerate(costs)),
        event(finish="tool_calls"),
        DONE,
    ]
    told = [
        f'<tool_call>{{"id": {at}, "name": "weather", "arguments": {text}}}</tool_call>'
        for at, text in enumerate(costs, 1)
    ]
    script = native if offered == "native" else words("\n".join(told))
    async with replica(script, {"tools": offered}) as (deployment, server):
        chunks = await ask(deployment, conversation(tools=[tool()], plan=True))
    depends = [
        list(delta.depends_on.calls) for chunk in chunks for delta in chunk.tool_calls if delta.HasField("depends_on")
    ]
    assert [arguments["city"] for _, arguments in calls_of(chunks)] == ["costs $5", "costs $1"]
    if offered == "native":
        assert (depends, chunks[-1].completion.tool_calls.ok) == ([], 2)
        assert "plan" not in server.asked[0]
    else:  # it is told how to write plans, as other experts are
        assert depends == [[], [1]]


async def test_calls_are_checked_as_any_engines_are() -> None:
    async def made(*script: Any) -> Any:
        async with replica([*script, event(finish="tool_calls"), DONE]) as (deployment, _):
            return await ask(deployment, conversation(tools=[tool()]))

    chunks = await made(call_event(0, '{"days": "x"}', name="weather"))
    assert chunks[-1].completion.tool_calls.invalid_arguments == 1
    nothing = await made(call_event(0, "", name="weather"))
    assert calls_of(nothing) == [("weather", {})]
    unknown = await made(call_event(0, "{}", name="rain"))
    assert (calls_of(unknown), unknown[-1].completion.tool_calls.text) == ([], 1)
    wordy = await made(event("Let me look."), call_event(0, '{"city": "Bern"}', name="weather"))
    assert "".join(chunk.text for chunk in wordy).strip() == "Let me look."
    assert len(calls_of(wordy)) == 1


@pytest.mark.parametrize(
    "script",
    [
        [call_event(0, "{}"), DONE],
        [call_event(1, "{}", name="weather"), call_event(0, "{}", name="weather"), DONE],
        [event(tool_calls=[{"index": 0}]), DONE],
        [event(tool_calls=["x"]), DONE],
    ],
)
async def test_calls_that_make_no_sense_are_a_failure(script: Any) -> None:
    async with replica(script) as (deployment, _):
        with pytest.raises(EngineError):
            await ask(deployment, conversation(tools=[tool()]))


async def test_a_call_that_is_cut_off_is_no_call() -> None:
    async with replica([call_event(0, '{"city": "Be', name="weather"), event(finish="length"), DONE]) as (
        deployment,
        _,
    ):
        chunks = await ask(deployment, conversation(tools=[tool()]))
    assert chunks[-1].completion.finish_reason == chat_pb2.FINISH_REASON_LENGTH


async def test_tool_choice_and_parallel_calls_are_passed_on() -> None:
    mode = chat_pb2.ToolChoice
    cases = [
        (mode(mode=mode.MODE_REQUIRED), "required"),
        (mode(mode=mode.MODE_AUTO), "auto"),
        (mode(mode=mode.MODE_NAMED, name="weather"), {"type": "function", "function": {"name": "weather"}}),
    ]
    for choice, wanted in cases:
        async with replica(words("a")) as (deployment, server):
            other = chat_pb2.Tool(name="other")
            await ask(deployment, conversation(tools=[tool(), other], tool_choice=choice, parallel_tool_calls=False))
        [sent] = server.asked
        assert sent["tool_choice"] == wanted
        assert sent["parallel_tool_calls"] is False
        assert len(sent["tools"]) == (1 if isinstance(wanted, dict) else 2)
    async with replica(words("a")) as (deployment, server):
        await ask(deployment, conversation(tools=[tool()], tool_choice=mode(mode=mode.MODE_NONE)))
    assert "tools" not in server.asked[0]


async def test_history_documents_and_the_system_prompt_are_messages() -> None:
    call = chat_pb2.ToolCall(id="call_1", name="weather", arguments='{"city": "Bern"}')
    messages = (
        chat_pb2.Message(role=USER, content="Rain?", name="Ada"),
        chat_pb2.Message(role=ASSISTANT, name="parrot", tool_calls=[call]),
        chat_pb2.Message(role=TOOL, tool_call_id="call_1", content="wet"),
        chat_pb2.Message(role=USER, content="And the source?"),
    )
    document = chat_pb2.Document(title="Almanac", text="Rain\nin June.")
    async with replica(words("As [1] says, and [7].")) as (deployment, server):
        spec = deployment._spec
        deployment._spec = spec.model_copy(update={"system_prompt": "Be brief."})
        chunks = await ask(deployment, conversation(*messages, documents=[document]))
    function = {"name": "weather", "arguments": '{"city": "Bern"}'}
    assert server.asked[0]["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Rain?", "name": "Ada"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "call_1", "type": "function", "function": function}],
        },
        {"role": "tool", "content": "wet", "tool_call_id": "call_1"},
        {"role": "user", "content": "Document [1](Title: Almanac): Rain in June.\n\nAnd the source?"},
    ]
    end = chunks[-1].completion
    assert [(one.document, one.title) for one in end.annotations] == [(1, "Almanac")]
    assert end.dropped_citations == 1


async def test_a_schema_is_passed_on_and_the_answer_checked() -> None:
    wanted = chat_pb2.ResponseFormat(
        type=chat_pb2.ResponseFormat.TYPE_JSON_SCHEMA, schema_json=json.dumps(WEATHER), strict=True
    )
    good, bad = '{"city": "Bern"}', '{"town": "Bern"}'
    async with replica(words(good)) as (deployment, server):
        chunks = await ask(deployment, conversation(response_format=wanted))
    assert chunks[-1].completion.form == chat_pb2.FORM_OUTCOME_OK
    sent = server.asked[0]["response_format"]
    assert (sent["type"], sent["json_schema"]["strict"]) == ("json_schema", True)
    assert sent["json_schema"]["schema"]["required"] == ["city"]
    assert server.asked[0]["temperature"] == 0  # a value that is drawn by lot is a wrong one

    answers = iter([words(bad), words(good)])
    async with replica(lambda asked: next(answers)) as (deployment, server):
        chunks = await ask(deployment, conversation(response_format=wanted), whole=True)
    assert chunks[-1].completion.form == chat_pb2.FORM_OUTCOME_SECOND_ATTEMPT
    assert len(server.asked) == 2

    async with replica(words(good), {"structured_output": False}) as (deployment, server):
        described = await deployment.Describe(expert_pb2.DescribeRequest(), Context())
        assert not described.structured_output
        with pytest.raises(EngineError):
            await ask(deployment, conversation(response_format=wanted))
    assert server.asked == []


async def test_a_server_without_tools_is_shown_them_as_text() -> None:
    said = 'Sure.\n<tool_call>{"name": "weather", "arguments": {"city": "Bern"}}</tool_call>'
    async with replica(words(said), {"tools": "text"}) as (deployment, server):
        chunks = await ask(deployment, conversation(tools=[tool()]))
    assert calls_of(chunks) == [("weather", {"city": "Bern"})]
    [sent] = server.asked
    assert "tools" not in sent
    assert sent["messages"][0]["role"] == "system"
    assert "weather(" in sent["messages"][0]["content"]


async def test_an_expert_that_hands_back_does_so_behind_a_server_too() -> None:
    async with replica([event("None of the"), event(" tools fit."), 60.0], hands_back=True) as (deployment, _):
        chunks = await ask(deployment, conversation(tools=[tool()]), may_hand_back=True)
    assert chunks[-1].completion.handed_back
    assert "".join(chunk.text for chunk in chunks) == ""


async def test_a_server_that_is_away_is_told_to_the_gateway_and_not_to_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("experts.engines.upstream.server._FRESH_S", 0.0)
    async with replica([]) as (deployment, server):
        server.models = Refusal(503)
        await deployment.check_health()
        context = Context()
        with pytest.raises(EngineError):
            await deployment.Describe(expert_pb2.DescribeRequest(), context)
    assert context.code is grpc.StatusCode.UNAVAILABLE
    assert context.details == "server_unavailable: the server does not serve now"


async def test_what_describe_says_holds_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THEIR_KEY", "sk-hidden-1")
    async with replica([], {"api_key_env": "THEIR_KEY"}) as (deployment, _):
        described = await deployment.Describe(expert_pb2.DescribeRequest(), Context())
    assert (described.engine, described.structured_output) == ("upstream", True)
    assert "sk-hidden" not in str(described)
