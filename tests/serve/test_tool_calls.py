"""Tool calls at both doors: what an expert calls reaches the client as OpenAI's SDK and our gRPC clients expect it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx2
import openai
import pytest

from protos import chat_pb2 as chat
from protos import gateway_pb2 as pb
from protos.gateway_pb2_grpc import GatewayStub
from serve.app import App
from tests.fakes.expert_server import FakeExperts
from tests.helpers import CHAT

PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"type": "function", "function": {"name": "get_time", "description": "the time", "parameters": PARAMETERS}}
OSLO = '<tool_call>{"name": "get_time", "arguments": {"city": "Oslo"}}</tool_call>'
ROME = '<tool_call>{"name": "get_time", "arguments": {"city": "Rome"}}</tool_call>'


def body(**fields: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": "What time is it in Oslo and Rome?"}]
    return {"model": "tool-caller", "messages": messages, "tools": [TOOL], **fields}


def events(text: str) -> list[Any]:
    return [json.loads(line.removeprefix("data: ")) for line in text.split("\n\n") if line and "[DONE]" not in line]


def over_grpc() -> pb.GenerateRequest:
    conversation = chat.Conversation(
        messages=[chat.Message(role=chat.ROLE_USER, content="What time is it?")],
        tools=[chat.Tool(name="get_time", parameters_json=json.dumps(PARAMETERS))],
    )
    return pb.GenerateRequest(model="tool-caller", conversation=conversation)


@pytest.fixture
def calls(experts: FakeExperts) -> None:
    experts["tool-caller"].words = list(f"{OSLO}\n{ROME}")


@pytest.mark.usefixtures("calls")
async def test_whole(http: httpx2.AsyncClient) -> None:
    answer = (await http.post(CHAT, json=body())).json()
    [choice] = answer["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    first, second = choice["message"]["tool_calls"]
    assert first["type"] == second["type"] == "function"
    assert first["function"] == {"name": "get_time", "arguments": '{"city": "Oslo"}'}
    assert json.loads(second["function"]["arguments"]) == {"city": "Rome"}
    assert first["id"] != second["id"]
    assert answer["usage"]["completion_tokens"] == len(f"{OSLO}\n{ROME}"), "held back or not, every token counts"


@pytest.mark.usefixtures("calls")
async def test_streamed(http: httpx2.AsyncClient) -> None:
    response = await http.post(CHAT, json=body(stream=True, stream_options={"include_usage": True}))
    *chunks, usage = events(response.text)
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert deltas[0] == {"role": "assistant", "content": None, "refusal": None}
    pieces = [piece for delta in deltas for piece in delta.get("tool_calls", ())]
    assert [sorted(piece) for piece in pieces] == [["function", "id", "index", "type"], ["function", "index"]] * 2
    assert [piece["index"] for piece in pieces] == [0, 0, 1, 1]
    assert pieces[0]["function"] == {"name": "get_time", "arguments": ""}
    assert pieces[1]["function"] == {"arguments": '{"city": "Oslo"}'}
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks][-1] == "tool_calls"
    assert deltas[-1] == {}
    assert usage["usage"]["completion_tokens"] == len(f"{OSLO}\n{ROME}")


@pytest.mark.usefixtures("calls")
async def test_the_openai_sdk_puts_a_stream_together(app: App) -> None:
    question = [{"role": "user", "content": "What time is it in Oslo and Rome?"}]
    async with (
        openai.AsyncOpenAI(base_url=f"http://{app.http_address}/v1", api_key="any", max_retries=0) as sdk,
        sdk.chat.completions.stream(model="tool-caller", messages=question, tools=[TOOL]) as stream,  # type: ignore[arg-type,list-item]  # dicts, as users send
    ):
        answer = await stream.get_final_completion()
    [choice] = answer.choices
    assert choice.finish_reason == "tool_calls"
    calls = choice.message.tool_calls or []
    assert [call.function.arguments for call in calls] == ['{"city": "Oslo"}', '{"city": "Rome"}']
    assert [call.function.name for call in calls] == ["get_time"] * 2


@pytest.mark.usefixtures("calls")
async def test_grpc(stub: GatewayStub) -> None:
    whole = await stub.Complete(over_grpc())
    assert whole.text == ""
    assert [(call.name, call.arguments) for call in whole.tool_calls] == [
        ("get_time", '{"city": "Oslo"}'),
        ("get_time", '{"city": "Rome"}'),
    ]
    assert whole.summary.finish_reason == chat.FINISH_REASON_TOOL_CALLS
    chunks = [chunk async for chunk in stub.Generate(over_grpc())]
    pieces = [piece for chunk in chunks for piece in chunk.tool_calls]
    assert [(piece.index, bool(piece.id), piece.arguments) for piece in pieces] == [
        (0, True, ""),
        (0, False, '{"city": "Oslo"}'),
        (1, True, ""),
        (1, False, '{"city": "Rome"}'),
    ]


async def test_an_answer_in_words_is_an_answer_in_words(http: httpx2.AsyncClient) -> None:
    answer = (await http.post(CHAT, json=body())).json()
    assert answer["choices"][0]["message"] == {"role": "assistant", "content": "Hello there!", "refusal": None}
    assert answer["choices"][0]["finish_reason"] == "stop"


async def test_words_and_a_call(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    experts["tool-caller"].words = ["Looking. ", OSLO]
    message = (await http.post(CHAT, json=body())).json()["choices"][0]["message"]
    assert (message["content"], len(message["tool_calls"])) == ("Looking. ", 1)
    deltas = [chunk["choices"][0]["delta"] for chunk in events((await http.post(CHAT, json=body(stream=True))).text)]
    assert [delta["content"] for delta in deltas if "content" in delta] == ["", "Looking. "]


async def test_tool_choice_none_reads_nothing(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    experts["tool-caller"].words = [OSLO]
    message = (await http.post(CHAT, json=body(tool_choice="none"))).json()["choices"][0]["message"]
    assert message["content"] == OSLO
    assert "tool_calls" not in message


async def test_one_call_where_parallel_ones_are_not_wanted(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    experts["tool-caller"].words = [OSLO, "\n", ROME]
    message = (await http.post(CHAT, json=body(parallel_tool_calls=False))).json()["choices"][0]["message"]
    assert [call["function"]["arguments"] for call in message["tool_calls"]] == ['{"city": "Oslo"}']


async def test_what_became_of_calls_is_counted(
    http: httpx2.AsyncClient, experts: FakeExperts, sample: Callable[..., float]
) -> None:
    wrong = '<tool_call>{"name": "get_time", "arguments": {}}</tool_call>'
    experts["tool-caller"].words = [OSLO, ROME, wrong, "<tool_call>{oh}</tool_call>", OSLO.replace("}}<", "}<")]
    await http.post(CHAT, json=body())
    found = {
        outcome: sample("moegate_tool_calls_total", expert="tool-caller", outcome=outcome)
        for outcome in ("ok", "repaired", "text", "invalid_arguments")
    }
    assert found == {"ok": 2, "repaired": 1, "text": 1, "invalid_arguments": 1}


async def test_a_call_cut_off_by_max_tokens(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    experts["tool-caller"].words = [OSLO, "\n<tool_call>{"]
    experts["tool-caller"].is_cut = True
    [choice] = (await http.post(CHAT, json=body())).json()["choices"]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("length", None)
    assert len(choice["message"]["tool_calls"]) == 1


@pytest.mark.parametrize("is_stream", [False, True])
async def test_a_strict_tools_broken_call_is_never_a_success(
    http: httpx2.AsyncClient, experts: FakeExperts, is_stream: bool
) -> None:
    experts["tool-caller"].words = ['<tool_call>{"name": "get_time", "arguments": {"city": 7}}</tool_call>']
    strict = {**TOOL, "function": {**TOOL["function"], "strict": True}}  # type: ignore[dict-item]
    answer = await http.post(CHAT, json=body(tools=[strict], stream=is_stream))
    assert "answer_invalid" in answer.text
    assert answer.status_code == (200 if is_stream else 502)
    assert "[DONE]" not in answer.text
    assert (await http.post(CHAT, json=body(stream=is_stream))).status_code == 200
