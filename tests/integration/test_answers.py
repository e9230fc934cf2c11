"""Real answers from a real model, the same through both doors."""

import asyncio

import grpc
import httpx2
import openai
import pytest

from protos import chat_pb2 as chat
from protos import gateway_pb2 as pb
from protos.gateway_pb2_grpc import GatewayStub

pytestmark = pytest.mark.ray

QUESTION = "What is the capital of France? Answer in one short sentence."


def conversation(text: str, **sampling: float) -> pb.GenerateRequest:
    return pb.GenerateRequest(
        model="coder",
        conversation=chat.Conversation(messages=[chat.Message(role=chat.ROLE_USER, content=text)]),
        sampling=chat.Sampling(**sampling),  # type: ignore[arg-type]  # field names, all numbers
    )


async def test_a_real_answer(sdk: openai.AsyncOpenAI) -> None:
    answer = await sdk.chat.completions.create(
        model="coder", messages=[{"role": "user", "content": QUESTION}], temperature=0, max_tokens=40
    )
    assert "Paris" in (answer.choices[0].message.content or "")
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.prompt_tokens > 10
    assert 3 < answer.usage.completion_tokens < 40


@pytest.mark.parametrize("text", [QUESTION, "Écris une phrase sur le thé. 😀 日本語で一文。"])
async def test_both_doors_say_the_same(sdk: openai.AsyncOpenAI, stub: GatewayStub, text: str) -> None:
    over_http = await sdk.chat.completions.create(
        model="coder", messages=[{"role": "user", "content": text}], temperature=0, max_tokens=60
    )
    over_grpc = await stub.Complete(conversation(text, temperature=0, max_tokens=60))
    streamed = [chunk async for chunk in stub.Generate(conversation(text, temperature=0, max_tokens=60))]
    stream = await sdk.chat.completions.create(
        model="coder",
        messages=[{"role": "user", "content": text}],
        temperature=0,
        max_tokens=60,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = [chunk async for chunk in stream]
    words = over_http.choices[0].message.content
    assert words
    assert over_grpc.text == words
    assert "".join(chunk.text for chunk in streamed) == words
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == words
    assert over_http.usage is not None
    expected = (over_http.usage.prompt_tokens, over_http.usage.completion_tokens)
    for usage in (over_grpc.summary.usage, streamed[-1].summary.usage, chunks[-1].usage):
        assert usage is not None
        assert (usage.prompt_tokens, usage.completion_tokens) == expected
    assert sum(chunk.token_count for chunk in streamed) <= expected[1]


async def test_sampling_is_honoured(sdk: openai.AsyncOpenAI) -> None:
    async def ask(**fields: object) -> openai.types.chat.ChatCompletion:
        messages = [{"role": "user", "content": "Tell me a story about a fox."}]
        return await sdk.chat.completions.create(model="coder", messages=messages, **fields)  # type: ignore[call-overload, no-any-return]

    cut = await ask(max_tokens=5, temperature=0)
    assert (cut.choices[0].finish_reason, cut.usage.completion_tokens if cut.usage else 0) == ("length", 5)
    whole = (await ask(max_tokens=40, temperature=0)).choices[0].message.content or ""
    word = whole.split()[6]
    stopped = await ask(max_tokens=40, temperature=0, stop=[word])
    assert stopped.choices[0].message.content == whole[: whole.index(word)]
    assert stopped.choices[0].finish_reason == "stop"
    same = [(await ask(max_tokens=20, temperature=1.0, seed=7)).choices[0].message.content for _ in range(2)]
    other = (await ask(max_tokens=20, temperature=1.0, seed=8)).choices[0].message.content
    assert same[0] == same[1] != other


async def test_the_application_key_is_really_checked(http: httpx2.AsyncClient) -> None:
    answers = await asyncio.gather(
        *(
            http.post(
                "/v1/chat/completions",
                json={"model": name, "max_tokens": 3, "messages": [{"role": "user", "content": "a b c"}]},
            )
            for name in ("researcher", "advisor", "tool-caller", "generalist")
        )
    )
    assert [answer.json()["model"] for answer in answers] == ["researcher", "advisor", "tool-caller", "generalist"]
    assert all(answer.json()["choices"][0]["message"]["content"].split() == ["a", "b", "c"] for answer in answers)


async def test_a_prompt_longer_than_the_window(http: httpx2.AsyncClient, stub: GatewayStub) -> None:
    long = "word " * 9000
    body = {"model": "coder", "messages": [{"role": "user", "content": long}]}
    response = await http.post("/v1/chat/completions", json=body)
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (400, "context_length_exceeded", "messages")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Complete(conversation(long))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert dict(caught.value.trailing_metadata() or ())["x-moegate-error-code"] == "context_length_exceeded"
    assert (await http.get("/ready")).json()["experts"]["coder"] is True


FITTING = [
    ("Write a poem about the rain in Lima", "write_poem", "Writes a poem about a topic"),
    ("Format this code: def f(x): return x", "format_code", "Formats source code"),
    ("Look up who Ada Lovelace was", "look_up_person", "Looks up who a person was in the encyclopaedia"),
    ("What time is it in Tokyo?", "get_time", "Returns the time in a city"),
]


@pytest.mark.parametrize(("text", "name", "description"), FITTING)
async def test_tools_that_fit_are_never_lost_to_wording(
    sdk: openai.AsyncOpenAI, text: str, name: str, description: str
) -> None:
    tool = {"type": "function", "function": {"name": name, "description": description}}
    answer = await sdk.chat.completions.create(
        model="auto",
        messages=[{"role": "user", "content": text}],
        tools=[tool],  # type: ignore[list-item]  # a dict is what users send
        max_tokens=3,
    )
    assert answer.model == "tool-caller"
