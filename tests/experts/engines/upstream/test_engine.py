"""The upstream engine in front of a server that answers, falls silent, breaks and lies."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from experts.engine import (
    HEARTBEAT,
    Completion,
    ContextLengthExceeded,
    DeadlineExceeded,
    EngineDead,
    EngineError,
    FinishReason,
    GenerationInput,
    InvalidRequest,
    QueueFull,
    Sampling,
    ServerUnavailable,
    TokenDelta,
    Turn,
)
from experts.engines.factory import build_engine
from experts.engines.upstream.engine import UpstreamEngine
from tests.experts.entries import expert_spec
from tests.fakes.openai_server import DONE, FakeOpenAI, Refusal, event, frame, openai_server, usage_event, words
from tests.helpers import until

HELLO = GenerationInput((Turn("user", "hello there"),), Sampling(max_tokens=9))
KEY = "sk-very-secret-9876"


@asynccontextmanager
async def upstream(script: Any, options: dict[str, Any] | None = None, **fields: Any) -> AsyncIterator[Any]:
    async with openai_server(FakeOpenAI(script)) as server:
        wanted = {"base_url": server.base_url, "model": "theirs", **(options or {})}
        spec = expert_spec(engine="upstream", engine_options=wanted, max_batch_size=64, **fields)
        engine = build_engine(spec, None)
        assert isinstance(engine, UpstreamEngine)
        await engine.start()
        try:
            yield engine, server
        finally:
            await engine.stop()


async def collect(engine: UpstreamEngine, request: GenerationInput = HELLO) -> tuple[str, Completion, list[TokenDelta]]:
    *deltas, end = [item async for item in engine.generate(request)]
    assert isinstance(end, Completion)
    return "".join(delta.text for delta in deltas) + end.tail.text, end, deltas


async def test_an_answer_streams_and_the_servers_usage_is_what_counts() -> None:
    async with upstream(words("Hel", "lo.", usage=(7, 5))) as (engine, server):
        text, end, deltas = await collect(engine)
    assert text == "Hello."
    assert (end.finish_reason, end.prompt_tokens, end.completion_tokens) == (FinishReason.STOP, 7, 5)
    assert not end.is_estimated
    assert sum(delta.token_count for delta in deltas) + end.tail.token_count == 5
    assert deltas[0].prompt_tokens > 0  # before the first token, for who leaves early
    [asked] = server.asked
    assert asked["model"] == "theirs"
    assert asked["messages"] == [{"role": "user", "content": "hello there"}]
    assert asked["stream_options"] == {"include_usage": True}
    assert asked["max_tokens"] == 9


async def test_without_usage_tokens_are_estimated_and_marked() -> None:
    async with upstream(words("a" * 40, finish="length"), {"usage": False}) as (engine, server):
        _, end, _ = await collect(engine)
    assert end.is_estimated
    assert (end.finish_reason, end.completion_tokens) == (FinishReason.LENGTH, 10)
    assert end.prompt_tokens >= 3
    assert "stream_options" not in server.asked[0]


async def test_usage_in_every_event_is_told_as_it_comes() -> None:
    def counted(text: str, tokens: int) -> bytes:
        usage = {"prompt_tokens": 4, "completion_tokens": tokens}
        return frame({"choices": [{"delta": {"content": text}, "finish_reason": None}], "usage": usage})

    script = [counted("abc", 3), 0.05, counted("d", 4), event(finish="stop"), usage_event(4, 4), DONE]
    async with upstream(script) as (engine, _):
        _, _, deltas = await collect(engine)
    assert [delta.token_count for delta in deltas if delta.text] == [3, 1]


@pytest.mark.parametrize(
    ("script", "error", "says"),
    [
        (Refusal(400), InvalidRequest, "the server refused the request"),
        (Refusal(422), InvalidRequest, "the server refused the request"),
        (Refusal(400, {"error": {"message": "x", "code": "context_length_exceeded"}}), ContextLengthExceeded, ""),
        (
            Refusal(400, {"error": {"message": "This model's maximum context length is 2048 tokens."}}),
            ContextLengthExceeded,
            "",
        ),
        (Refusal(401), ServerUnavailable, "key"),
        (Refusal(404), ServerUnavailable, "no such model"),
        (Refusal(307, b"", {"location": "http://127.0.0.1:1/"}), ServerUnavailable, ""),
        (Refusal(429), QueueFull, "fewer requests"),
        (Refusal(500), EngineError, "failed on this request"),
        (Refusal(503, b"<html>hello there</html>"), ServerUnavailable, "does not serve"),
        ([event("half")], EngineError, "before the answer was complete"),
        ([], EngineError, "before the answer was complete"),
        ([event("half"), b"data: {nonsense\n\n"], EngineError, "cannot be read"),
        ([frame(["hello"])], EngineError, "cannot be read"),
        ([frame({"choices": "hello"})], EngineError, "cannot be read"),
        ([event("a"), frame({"error": {"message": "hello there", "type": "server_error"}})], EngineError, "broke"),
        ([frame({"error": {"message": "slow down", "code": "rate_limit_exceeded"}})], QueueFull, "fewer"),
    ],
)
async def test_what_goes_wrong_is_an_error_of_ours_without_their_words(
    script: Any, error: type[EngineError], says: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with upstream(script) as (engine, _):
        with pytest.raises(error) as raised:
            await collect(engine)
        assert type(raised.value) is error
        assert says in str(raised.value)
        assert engine.load().running == 0
    assert "hello" not in str(raised.value) + caplog.text


async def test_nobody_is_there() -> None:
    async with upstream([], {"base_url": "http://127.0.0.1:9/v1"}) as (engine, _):
        with pytest.raises(ServerUnavailable):
            await collect(engine)
        with pytest.raises(ServerUnavailable):
            await engine.check_health()


async def test_a_closed_generation_closes_the_request_at_once_in_every_phase() -> None:
    scripts: dict[str, list[Any]] = {"before": [60.0], "streaming": [event("a"), 60.0]}
    async with upstream(lambda asked: scripts[asked["messages"][0]["content"]]) as (engine, server):
        for number in range(200):
            phase = ("before", "streaming")[number % 2]
            async with aclosing(engine.generate(GenerationInput((Turn("user", phase),), Sampling(9)))) as items:
                if phase == "streaming":
                    while not (item := await anext(items)).text:
                        assert isinstance(item, TokenDelta)
                else:
                    reading = asyncio.create_task(anext(items))
                    await until(lambda n=number: len(server.asked) > n)
                    reading.cancel()
                    await asyncio.wait({reading})
        await until(lambda: len(server.left) == 200)
        assert server.open == 0
        assert engine.load().running == engine.load().waiting == 0


async def test_the_deadline_ends_a_silent_server() -> None:
    async with upstream([event("a"), 60.0]) as (engine, server):
        with pytest.raises(DeadlineExceeded):
            await collect(engine, GenerationInput(HELLO.prompt, HELLO.sampling, time.monotonic() + 0.2))
        await until(lambda: len(server.left) == 1)


async def test_a_slow_server_that_is_well_is_waited_for_and_one_that_hangs_is_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("experts.engines.upstream.engine.HEARTBEAT_S", 0.05)
    monkeypatch.setattr("experts.engines.upstream.server._FRESH_S", 0.02)
    async with upstream([0.4, *words("late")]) as (engine, server):
        text, _, deltas = await collect(engine)
        assert (text, HEARTBEAT in deltas) == ("late", True)
        server.models = Refusal(500)
        _, _, deltas = await collect(engine)
        assert HEARTBEAT not in deltas


async def test_a_pause_that_the_server_asks_for_is_kept() -> None:
    async with upstream(Refusal(429, headers={"retry-after": "0.3"})) as (engine, server):
        for _ in range(5):
            with pytest.raises(QueueFull):
                await collect(engine)
        assert len(server.asked) == 1
        server.script = words("again")
        await asyncio.sleep(0.35)
        assert (await collect(engine))[0] == "again"


async def test_health_is_the_list_of_models() -> None:
    async with upstream([]) as (engine, server):
        await asyncio.gather(*(engine.check_health() for _ in range(9)))
        await engine.check_health()
        assert server.probes == 1  # fresh enough for all of them
    for models, is_well in ((Refusal(404), True), (Refusal(401), False), (Refusal(502), False)):
        async with upstream([]) as (engine, server):
            server.models = models
            if is_well:
                await engine.check_health()
            else:
                with pytest.raises(ServerUnavailable):
                    await engine.check_health()
    async with upstream([], {"health": "none"}) as (engine, server):
        await engine.check_health()
        assert server.probes == 0


async def test_secrets_reach_the_server_and_nobody_else(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("THEIR_KEY", KEY)
    monkeypatch.setenv("THEIR_HEADER", "team-" + KEY)
    options = {"api_key_env": "THEIR_KEY", "headers": {"x-plain": "a"}, "headers_env": {"x-team": "THEIR_HEADER"}}
    with caplog.at_level(logging.DEBUG):
        async with upstream(Refusal(401, {"error": {"message": f"bad key {KEY}"}}), options) as (engine, server):
            with pytest.raises(ServerUnavailable) as raised:
                await collect(engine)
        [head] = server.heads
    assert head["authorization"] == f"Bearer {KEY}"
    assert (head["x-plain"], head["x-team"]) == ("a", "team-" + KEY)
    assert KEY not in caplog.text + str(raised.value) + repr(engine.capabilities) + repr(vars(engine)["_spec"])
    assert "hello there" not in caplog.text


async def test_without_a_key_none_is_sent() -> None:
    async with upstream(words("a")) as (engine, server):
        await collect(engine)
    assert "authorization" not in server.heads[0]


async def test_raw_text_goes_to_completions() -> None:
    ends = {"choices": [{"text": "", "finish_reason": "length"}]}
    script = [frame({"choices": [{"text": "ab", "finish_reason": None}]}), frame(ends), DONE]
    raw = GenerationInput("once upon", Sampling(4, stop=("x",)))
    async with upstream(script) as (engine, server):
        text, end, _ = await collect(engine, raw)
    assert (text, end.finish_reason) == ("ab", FinishReason.LENGTH)
    assert (server.asked[0]["prompt"], server.asked[0]["stop"]) == ("once upon", ["x"])
    async with upstream(script, {"raw_prompts": False}) as (engine, server):
        with pytest.raises(InvalidRequest):
            await collect(engine, raw)
        assert server.asked == []


async def test_the_queue_is_bounded_and_a_stop_ends_everything() -> None:
    async with upstream([60.0], max_queue_len=0) as (engine, server):
        waiting = [asyncio.create_task(collect(engine)) for _ in range(64)]
        await until(lambda: server.open == 64)
        with pytest.raises(QueueFull):
            await collect(engine)
        await engine.stop()
        results = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(result) for result in results} == {EngineDead}


LIKELY = GenerationInput((Turn("user", "hello"),), Sampling(9, logprobs=True, top_logprobs=2, logit_bias=((7, -1.5),)))


def told(token: str, logprob: float | None, raw: list[int] | None = None) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "bytes": raw}


async def test_log_probabilities_are_asked_for_and_read() -> None:
    content = [{**told("Hé", -0.5, [72, 195, 169]), "top_logprobs": [told("Hé", -0.5), told("Oh", None)]}]
    choice = {"index": 0, "delta": {"content": "Hé"}, "logprobs": {"content": content}, "finish_reason": None}
    script = [frame({"choices": [choice]}), event("!"), event(finish="stop"), DONE]
    async with upstream(script) as (engine, server):
        _, end, deltas = await collect(engine, LIKELY)
    [one] = [token for delta in (*deltas, end.tail) for token in delta.logprobs]
    assert (one.token, one.logprob) == ("Hé".encode(), -0.5)
    assert [(other.token, other.logprob) for other in one.top] == [("Hé".encode(), -0.5), (b"Oh", -9999.0)]
    [asked] = server.asked
    assert (asked["logprobs"], asked["top_logprobs"], asked["logit_bias"]) == (True, 2, {"7": -1.5})


async def test_raw_prompts_have_the_other_form() -> None:
    lists = {"tokens": ["He", "y"], "token_logprobs": [-0.5, -1.0], "top_logprobs": [{"Oh": -3.0, "He": -0.5}, None]}
    choice = {"index": 0, "text": "Hey", "logprobs": lists, "finish_reason": "stop"}
    async with upstream([frame({"choices": [choice]}), DONE]) as (engine, server):
        _, end, deltas = await collect(engine, GenerationInput("hello", Sampling(9, logprobs=True)))
    first, second = [token for delta in (*deltas, end.tail) for token in delta.logprobs]
    assert [other.token for other in first.top] == [b"He", b"Oh"]
    assert (second.token, second.top) == (b"y", ())
    assert server.asked[0]["logprobs"] == 0


@pytest.mark.parametrize(
    "logprobs",
    [
        {"content": [{"token": "x"}]},
        {"content": [told("x", -1, [300])]},
        {"tokens": ["a"], "token_logprobs": []},
    ],
)
async def test_log_probabilities_that_cannot_be_read_are_the_servers_failure(logprobs: dict[str, Any]) -> None:
    choice = {"index": 0, "delta": {"content": "x"}, "logprobs": logprobs, "finish_reason": None}
    async with upstream([frame({"choices": [choice]}), DONE]) as (engine, _):
        with pytest.raises(EngineError, match="cannot be read"):
            await collect(engine, LIKELY)


async def test_who_does_not_ask_sends_nothing_of_it() -> None:
    async with upstream(words("x")) as (engine, server):
        await collect(engine)
    assert not {"logprobs", "top_logprobs", "logit_bias"} & server.asked[0].keys()
