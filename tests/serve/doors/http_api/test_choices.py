"""Several answers to one request: each is a request of its own to the core, and the client reads them side by side."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import httpx2
import openai
import pytest

from serve.app import App
from tests.fakes.expert_server import FakeExperts
from tests.helpers import CHAT, until

USER = {"role": "user", "content": "hello"}
TEXTS = "/v1/completions"


def asked(**fields: Any) -> dict[str, Any]:
    return {"model": "coder", "messages": [USER], **fields}


def events(text: str) -> list[Any]:
    lines = text.strip().split("\n\n")
    assert lines[-1] == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]


async def test_n_answers_stand_side_by_side(http: httpx2.AsyncClient, sample: Callable[..., float]) -> None:
    response = await http.post(CHAT, json=asked(n=3))
    answer = response.json()
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2]
    assert {choice["message"]["content"] for choice in answer["choices"]} == {"Hello there!"}
    assert answer["usage"]["prompt_tokens"] == 3 * 7
    assert answer["usage"]["completion_tokens"] == 3 * 3
    assert float(response.headers["x-moegate-cost-usd"]) == pytest.approx(answer["usage"]["cost_usd"])
    assert response.headers["x-moegate-expert"] == "coder"
    assert sample("moegate_requests_total", expert="coder", door="http", outcome="ok") == 3


async def test_each_of_several_prompts_has_an_answer(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    response = await http.post(TEXTS, json={"model": "coder", "prompt": ["a", "b"], "n": 2, "seed": 5})
    assert [choice["index"] for choice in response.json()["choices"]] == [0, 1, 2, 3]
    told = Counter((request.prompt, request.sampling.seed) for request in experts["coder"].requests)
    assert told == {("a", 5): 1, ("a", 6): 1, ("b", 5): 1, ("b", 6): 1}


async def test_a_stream_tells_each_piece_s_index(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    experts["coder"].gap_s = 0.01
    body = asked(n=2, stream=True, stream_options={"include_usage": True})
    found = events((await http.post(CHAT, json=body)).text)
    said: dict[int, str] = defaultdict(str)
    ends: dict[int, list[str]] = defaultdict(list)
    *frames, usage = found
    for frame in frames:
        [choice] = frame["choices"]
        said[choice["index"]] += choice["delta"].get("content") or ""
        ends[choice["index"]] += [choice["finish_reason"]] if choice["finish_reason"] else []
    assert dict(said) == {0: "Hello there!", 1: "Hello there!"}
    assert dict(ends) == {0: ["stop"], 1: ["stop"]}
    assert len({frame["id"] for frame in found}) == 1
    assert (usage["choices"], usage["usage"]["completion_tokens"]) == ([], 6)


async def test_openais_client_reads_them(app: App) -> None:
    async with openai.AsyncOpenAI(base_url=f"http://{app.http_address}/v1", api_key="none") as client:
        chat = await client.chat.completions.create(model="coder", messages=[USER], n=2)  # type: ignore[list-item]
        text = await client.completions.create(model="coder", prompt=["a", "b"])
    assert [choice.message.content for choice in chat.choices] == ["Hello there!"] * 2
    assert [choice.text for choice in text.choices] == ["Hello there!"] * 2


async def test_calls_keep_their_index_too(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    experts["tool-caller"].words = ['<tool_call>{"name": "f", "arguments": {}}</tool_call>']
    tool = {"type": "function", "function": {"name": "f"}}
    body = asked(model="tool-caller", tools=[tool], n=2, stream=True)
    found = events((await http.post(CHAT, json=body)).text)
    calls = [choice["index"] for frame in found for choice in frame["choices"] if choice["delta"].get("tool_calls")]
    assert set(calls) == {0, 1}


async def test_where_one_fails_all_end(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    experts["coder"].break_after = 2
    response = await http.post(CHAT, json=asked(n=2))
    assert (response.status_code, response.json()["error"]["code"]) == (502, "expert_failed")
    await until(lambda: experts["coder"].live == 0)


async def test_a_stream_that_breaks_off_tells_the_error_last(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    experts["coder"].break_after, experts["coder"].gap_s = 2, 0.01
    text = (await http.post(CHAT, json=asked(n=2, stream=True))).text
    last = json.loads(text.strip().split("\n\n")[-1].removeprefix("data: "))
    assert last["error"]["code"] == "expert_failed"
    assert "Traceback" not in text
    await until(lambda: experts["coder"].live == 0)


async def test_a_client_that_leaves_ends_all(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    experts["coder"].gap_s, experts["coder"].words = 0.05, ["word "] * 400
    async with http.stream("POST", CHAT, json=asked(n=3, stream=True)) as response:
        async for _ in response.aiter_lines():
            break
    await until(lambda: experts["coder"].live == 0)
    assert experts["coder"].cancelled == 3


@pytest.mark.parametrize(
    ("path", "fields", "param"),
    [
        (CHAT, {"messages": [USER], "n": 0}, "n"),
        (CHAT, {"messages": [USER], "n": 17}, "n"),
        (CHAT, {"messages": [USER], "n": 1.5}, "n"),
        (TEXTS, {"prompt": ["a", "b"], "n": 9}, "n"),
        (TEXTS, {"prompt": []}, "prompt"),
        (TEXTS, {"prompt": ["a"] * 17}, "prompt"),
        (TEXTS, {"prompt": ["a", ""]}, "prompt"),
        (TEXTS, {"prompt": [1, 2]}, "prompt"),
    ],
)
async def test_too_many_and_too_few_are_refused(
    http: httpx2.AsyncClient, path: str, fields: dict[str, Any], param: str
) -> None:
    response = await http.post(path, json=fields)
    assert (response.status_code, response.json()["error"]["param"]) == (400, param)
