"""The HTTP door: OpenAI's wire in, OpenAI's wire out, every refusal in OpenAI's form."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import grpc
import httpx2
import openai
import orjson
import pytest

from serve.app import App
from tests.fakes.expert_server import FakeExperts
from tests.helpers import CHAT, until

HELLO = [{"role": "user", "content": "Fix this Python function: def f(x) return x"}]


def pinned(**fields: Any) -> dict[str, Any]:
    return {"model": "coder", "messages": HELLO, **fields}


def events(text: str) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    return [line if line == "[DONE]" else orjson.loads(line) for line in lines]


async def test_whole_answer(http: httpx2.AsyncClient) -> None:
    response = await http.post(CHAT, json=pinned())
    body = response.json()
    assert response.status_code == 200
    assert body["object"] == "chat.completion"
    assert body["model"] == "coder"
    assert body["choices"][0]["message"] == {"role": "assistant", "content": "Hello there!", "refusal": None}
    assert body["choices"][0]["finish_reason"] == "stop"
    cost_usd = pytest.approx(7 * 1e-6 + 3 * 2e-6)
    assert body["usage"] == {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10, "cost_usd": cost_usd}
    assert response.headers["x-moegate-expert"] == "coder"
    assert response.headers["x-moegate-reason"] == "pinned"
    assert 0 <= float(response.headers["x-moegate-confidence"]) <= 1
    assert 0 < float(response.headers["x-moegate-overhead-ms"]) < 1000
    assert float(response.headers["x-moegate-cost-usd"]) == pytest.approx(7 * 1e-6 + 3 * 2e-6)


async def test_auto_goes_where_the_router_says(http: httpx2.AsyncClient, app: App) -> None:
    response = await http.post(CHAT, json={"messages": HELLO})
    assert response.json()["model"] == response.headers["x-moegate-expert"]
    assert response.headers["x-moegate-reason"] in {"classified", "abstained"}


async def test_stream(http: httpx2.AsyncClient) -> None:
    response = await http.post(CHAT, json=pinned(stream=True, stream_options={"include_usage": True}))
    assert response.headers["content-type"].startswith("text/event-stream")
    *chunks, usage, done = events(response.text)
    assert done == "[DONE]"
    assert {chunk["model"] for chunk in chunks} == {"coder"}
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == "Hello there!"
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None] * 4 + ["stop"]
    assert usage["choices"] == []
    assert usage["usage"]["total_tokens"] == 10
    assert usage["usage"]["cost_usd"] == pytest.approx(13e-6)


async def test_text_survives_the_wire(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    experts["coder"].words = ['quote " backslash \\', "\n\ttab", " é 日本 😀", "\x00\u2028data: "]
    streamed = events((await http.post(CHAT, json=pinned(stream=True))).text)
    text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in streamed[:-1])
    assert text == "".join(experts["coder"].words)
    whole = (await http.post(CHAT, json=pinned())).json()
    assert whole["choices"][0]["message"]["content"] == text


async def test_completions_continue_raw_text(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    response = await http.post("/v1/completions", json={"model": "coder", "prompt": "def f(", "max_tokens": 5})
    assert response.json()["choices"][0]["text"] == "Hello there!"
    assert experts["coder"].requests[0].prompt == "def f("
    streamed = await http.post("/v1/completions", json={"model": "coder", "prompt": "def f(", "stream": True})
    chunks = events(streamed.text)[:-1]
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == "Hello there!"


async def test_everything_set_reaches_the_expert(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    tool = {"type": "function", "function": {"name": "add", "description": "adds", "parameters": {"type": "object"}}}
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "3"},
    ]
    sampling = {"temperature": 0.5, "top_p": 0.25, "seed": -1, "frequency_penalty": 1.0, "presence_penalty": -1.0}
    body = {"model": "coder", "messages": messages, "tools": [tool], "tool_choice": "required", **sampling}
    await http.post(CHAT, json={**body, "stop": "END", "max_completion_tokens": 9, "user": "ignored", "store": True})
    request = experts["coder"].requests[0]
    assert [message.role for message in request.conversation.messages] == [1, 2, 3, 4]
    assert request.conversation.messages[1].content == "one\ntwo"
    assert request.conversation.messages[2].tool_calls[0].name == "add"
    assert request.conversation.tools[0].parameters_json == '{"type":"object"}'
    assert request.conversation.tool_choice.mode == 3
    assert request.sampling.seed == 2**64 - 1
    assert (request.sampling.max_tokens, list(request.sampling.stop)) == (9, ["END"])
    assert (request.sampling.temperature, request.sampling.top_p) == (0.5, 0.25)
    assert (request.sampling.frequency_penalty, request.sampling.presence_penalty) == (1.0, -1.0)


async def test_what_is_not_set_stays_unset(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    await http.post(CHAT, json=pinned(temperature=0))
    sampling = experts["coder"].requests[0].sampling
    assert [name.name for name, _ in sampling.ListFields()] == ["temperature"]


async def test_request_id_is_the_callers_or_ours(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    theirs = await http.post(CHAT, json=pinned(), headers={"x-request-id": "trace-7"})
    ours = await http.post(CHAT, json=pinned(), headers={"x-request-id": "no spaces\tallowed"})
    assert theirs.headers["x-request-id"] == "trace-7"
    assert ours.headers["x-request-id"] == ours.json()["id"]
    assert [seen["request_id"] for seen in experts["coder"].metadata] == ["trace-7", ours.json()["id"]]


@pytest.mark.parametrize(
    ("body", "status", "param", "code"),
    [
        (b"", 400, None, "invalid_json"),
        (b"{", 400, None, "invalid_json"),
        (b'{"messages": NaN}', 400, None, "invalid_json"),
        (b"\xff\xfe", 400, None, "invalid_json"),
        (b'"\\ud800"', 400, None, "invalid_json"),
        (b"[" * 100_000, 400, None, "invalid_json"),
        (b"[]", 400, None, "invalid_json"),
        ({}, 400, "messages", "invalid_value"),
        ({"messages": []}, 400, "messages", "invalid_value"),
        ({"messages": "hi"}, 400, "messages", "invalid_value"),
        ({"messages": [{"role": "user"}]}, 400, "messages[0].content", "invalid_value"),
        ({"messages": [{"role": "user", "content": ""}]}, 400, "messages[0].content", "invalid_value"),
        ({"messages": [{"role": "user", "content": 7}]}, 400, "messages[0].content", "invalid_value"),
        ({"messages": [{"role": "king", "content": "x"}]}, 400, "messages[0].role", "invalid_value"),
        ({"messages": [{"role": "tool", "content": "x"}]}, 400, "messages[0].tool_call_id", "invalid_value"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            400,
            "messages[0].content[0]",
            "unsupported_parameter",
        ),
        (pinned(model="gpt-9"), 404, "model", "model_not_found"),
        (pinned(model=7), 400, "model", "invalid_value"),
        (pinned(temperature="0.5"), 400, "temperature", "invalid_value"),
        (pinned(temperature=2.1), 400, "temperature", "invalid_value"),
        (pinned(top_p=-0.1), 400, "top_p", "invalid_value"),
        (pinned(top_p=1.1), 400, "top_p", "invalid_value"),
        (pinned(max_tokens=0), 400, "max_tokens", "invalid_value"),
        (pinned(max_tokens=-5), 400, "max_tokens", "invalid_value"),
        (pinned(max_tokens=10**30), 400, "max_tokens", "invalid_value"),
        (pinned(max_tokens=1.5), 400, "max_tokens", "invalid_value"),
        (pinned(stop=["a", "b", "c", "d", "e"]), 400, "stop", "invalid_value"),
        (pinned(stop=[""]), 400, "stop", "invalid_value"),
        (pinned(stream="yes"), 400, "stream", "invalid_value"),
        (pinned(n=17), 400, "n", "invalid_value"),
        (pinned(audio={"voice": "x"}), 400, "audio", "unsupported_parameter"),
        (pinned(logprobs=True, top_logprobs=2), 400, "top_logprobs", "unsupported_parameter"),
        (pinned(top_logprobs=2), 400, "top_logprobs", "invalid_value"),
        (pinned(logprobs=True, top_logprobs=21), 400, "top_logprobs", "invalid_value"),
        (pinned(logit_bias={"1": 101}), 400, "logit_bias", "invalid_value"),
        (pinned(response_format={"type": "json_object"}), 400, "response_format", "unsupported_parameter"),
        (pinned(tools=[{"type": "function", "function": {"name": "a b"}}]), 400, "tools[0].function.name", None),
        (pinned(tool_choice="required"), 400, "tool_choice", "invalid_value"),
        (pinned(tool_choice="sometimes"), 400, "tool_choice", "invalid_value"),
    ],
)
async def test_bad_input_is_named(
    http: httpx2.AsyncClient, body: Any, status: int, param: str | None, code: str | None
) -> None:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = await http.post(CHAT, content=raw, headers={"content-type": "application/json"})
    error = response.json()["error"]
    assert (response.status_code, error["param"]) == (status, param)
    assert error["type"] == "invalid_request_error"
    assert error["code"] == code or code is None
    assert response.headers["x-moegate-error-code"] == error["code"]
    assert (await http.post(CHAT, json=pinned())).status_code == 200  # the server goes on


async def test_a_deep_tool_schema_is_refused(http: httpx2.AsyncClient) -> None:
    schema: dict[str, Any] = {}
    for _ in range(400):
        schema = {"a": schema}
    response = await http.post(
        CHAT, json=pinned(tools=[{"type": "function", "function": {"name": "f", "parameters": schema}}])
    )
    assert (response.status_code, response.json()["error"]["param"]) == (
        400,
        "tools[0].function.parameters",
    )


async def test_the_wrong_media_type_path_and_method(http: httpx2.AsyncClient) -> None:
    form = await http.post(CHAT, content=b"{}", headers={"content-type": "text/xml"})
    path = await http.get("/v1/nothing")
    method = await http.get(CHAT)
    assert (form.status_code, form.json()["error"]["code"]) == (415, "unsupported_media_type")
    assert (path.status_code, path.json()["error"]["code"]) == (404, "not_found")
    assert (method.status_code, method.json()["error"]["code"]) == (405, "method_not_allowed")


@pytest.mark.parametrize("overrides", [{"http": {"max_body_bytes": 2048}}])
async def test_a_body_too_large(http: httpx2.AsyncClient) -> None:
    declared = await http.post(CHAT, json=pinned(user="x" * 4096))

    async def pieces() -> Any:
        for _ in range(8):
            yield b" " * 1024

    undeclared = await http.post(CHAT, content=pieces(), headers={"content-type": "application/json"})
    assert (declared.status_code, undeclared.status_code) == (413, 413)


async def test_a_prompt_too_long_for_the_expert(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    experts["coder"].refuse = (grpc.StatusCode.INVALID_ARGUMENT, "context_length_exceeded: 10.0.0.1 says no")
    response = await http.post(CHAT, json=pinned())
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (400, "context_length_exceeded", "messages")
    assert "10.0.0.1" not in response.text


async def test_a_busy_expert(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    experts["coder"].refuse = (grpc.StatusCode.RESOURCE_EXHAUSTED, "no")
    response = await http.post(CHAT, json=pinned())
    assert (response.status_code, response.headers["retry-after"]) == (429, "1")


async def test_a_pinned_expert_that_is_down_is_not_replaced(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    experts["coder"].is_down = True
    response = await http.post(CHAT, json=pinned())
    assert (response.status_code, response.json()["error"]["code"]) == (503, "expert_unavailable")
    assert "10.0.0.1" not in response.text


async def test_the_next_expert_answers_for_one_that_is_down(
    http: httpx2.AsyncClient, experts: FakeExperts, sample: Callable[..., float]
) -> None:
    first = (await http.post(CHAT, json={"messages": HELLO})).headers["x-moegate-expert"]
    experts[first].is_down = True
    for stream in (False, True):
        response = await http.post(CHAT, json={"messages": HELLO, "stream": stream})
        assert response.status_code == 200
        assert response.headers["x-moegate-expert"] != first
        assert response.headers["x-moegate-reason"] == "fallback"
    assert sum(sample("moegate_fallbacks_total", expert=first, to=name) for name in experts.scripts) == 2


@pytest.mark.parametrize("overrides", [{"experts": {"accept_timeout_s": 0.1}}])
async def test_an_expert_without_a_replica_is_passed_over(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    first = (await http.post(CHAT, json={"messages": HELLO})).headers["x-moegate-expert"]
    experts[first].silent_s = 0.5
    response = await http.post(CHAT, json={"messages": HELLO})
    assert response.headers["x-moegate-expert"] != first
    assert response.headers["x-moegate-reason"] == "fallback"
    pinned_response = await http.post(CHAT, json={"messages": HELLO, "model": first})
    assert pinned_response.headers["x-moegate-expert"] == first  # whom the caller named is waited for


async def test_an_expert_that_breaks_mid_stream(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    experts["coder"].break_after = 2
    streamed = await http.post(CHAT, json=pinned(stream=True))
    *chunks, error = events(streamed.text)
    assert streamed.status_code == 200
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == "Hello there"
    assert error["error"]["code"] == "expert_failed"
    assert "Traceback" not in streamed.text
    whole = await http.post(CHAT, json=pinned())
    assert (whole.status_code, whole.json()["error"]["code"]) == (502, "expert_failed")


async def test_the_callers_deadline(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    experts["coder"].first_s = 5
    response = await http.post(CHAT, json=pinned(), headers={"x-request-timeout-ms": "50"})
    wrong = await http.post(CHAT, json=pinned(), headers={"x-request-timeout-ms": "soon"})
    assert (response.status_code, response.json()["error"]["code"]) == (408, "deadline_exceeded")
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "x-request-timeout-ms")


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_leaves_is_noticed(
    app: App, http: httpx2.AsyncClient, experts: FakeExperts, sample: Callable[..., float], stream: bool
) -> None:
    experts["coder"].words = ["x"] * 1000
    experts["coder"].gap_s = 0.01
    with pytest.raises(httpx2.ReadTimeout):
        async with httpx2.AsyncClient(base_url=http.base_url, timeout=0.2) as client:
            if stream:
                async with client.stream("POST", CHAT, json=pinned(stream=True)) as response:
                    await anext(response.aiter_bytes())
                    raise httpx2.ReadTimeout("enough")
            await client.post(CHAT, json=pinned())
    await until(lambda: experts["coder"].cancelled)
    assert (experts["coder"].live, experts["coder"].cancelled) == (0, 1)
    await asyncio.sleep(0.02)
    assert sample("moegate_requests_total", expert="coder", door="http", outcome="cancelled") == 1
    assert sample("moegate_requests_in_flight", expert="coder") == 0
    assert sample("moegate_tokens_total", expert="coder", kind="completion") > 0
    assert sample("moegate_tokens_total", expert="coder", kind="prompt") == 7
    assert sample("moegate_wasted_tokens_total", expert="coder") > 0


@pytest.mark.parametrize("overrides", [{"admission": {"max_in_flight": 1, "max_queue_len": 1, "queue_timeout_s": 0.1}}])
async def test_overload_is_refused_with_a_hint(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    experts["coder"].first_s = 0.5
    answers = await asyncio.gather(*(http.post(CHAT, json=pinned()) for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [200, 429, 429]
    assert all("retry-after" in answer.headers for answer in answers if answer.status_code == 429)


async def test_the_official_sdk(app: App) -> None:
    async with openai.AsyncOpenAI(base_url=f"http://{app.http_address}/v1", api_key="any", max_retries=0) as client:
        models = [model.id async for model in await client.models.list()]
        assert models[0] == "auto"
        assert "coder" in models
        assert (await client.models.retrieve("coder")).owned_by == "moegate"
        answer = await client.chat.completions.create(model="coder", messages=[{"role": "user", "content": "hi"}])
        assert answer.choices[0].message.content == "Hello there!"
        stream = await client.chat.completions.create(
            model="coder",
            messages=[{"role": "user", "content": "hi"}],
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = [chunk async for chunk in stream]
        assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "Hello there!"
        assert chunks[-1].usage is not None
        with pytest.raises(openai.NotFoundError) as caught:
            await client.chat.completions.create(model="gpt-9", messages=[{"role": "user", "content": "hi"}])
        assert caught.value.code == "model_not_found"


async def test_the_operators_endpoints(http: httpx2.AsyncClient, experts: FakeExperts, app: App) -> None:
    await http.post(CHAT, json=pinned(stream=True))
    page = (await http.get("/metrics")).text
    for name in (
        'moegate_requests_total{door="http",expert="coder",outcome="ok"} 1.0',
        'moegate_tokens_total{expert="coder",kind="completion"} 3.0',
        'moegate_time_to_first_token_seconds_count{expert="coder",mode="stream"} 1.0',
        'moegate_inter_token_seconds_count{expert="coder",mode="stream"} 2.0',
        'moegate_request_duration_seconds_count{expert="coder",mode="stream"} 1.0',
        'moegate_requests_in_flight{expert="coder"} 0.0',
        'moegate_cost_usd_total{basis="configured",expert="coder"} 1.3e-05',
        "moegate_route_seconds_count 1.0",
        'moegate_expert_ready{expert="coder"} 1.0',
        "moegate_build_info{",
        "process_resident_memory_bytes",
    ):
        assert name in page
    assert (await http.get("/health")).json() == {"status": "ok"}
    assert (await http.get("/ready")).json()["experts"]["coder"] is True
    document = (await http.get("/openapi.json")).json()
    assert document["openapi"] == "3.1.0"
    assert "/v1/chat/completions" in document["paths"]
    missing = await http.get("/v1/models/gpt-9")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "model_not_found")


async def test_no_label_comes_from_a_client(http: httpx2.AsyncClient) -> None:
    before = len((await http.get("/metrics")).text.splitlines())
    for i in range(50):
        await http.post(CHAT, json=pinned(model=f"made-up-{i}"))
        await http.get(f"/made/up/{i}")
    page = (await http.get("/metrics")).text
    assert "made-up" not in page
    assert len(page.splitlines()) - before < 40
