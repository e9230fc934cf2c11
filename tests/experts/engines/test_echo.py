"""The echo engine: scripted to the word, and as strict as a real one."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from experts.catalog.prices import Price, UsdPerMillion
from experts.catalog.spec import ExpertSpec
from experts.engine import (
    HEARTBEAT,
    Completion,
    ContextLengthExceeded,
    DeadlineExceeded,
    EngineDead,
    FinishReason,
    GenerationInput,
    InvalidRequest,
    Load,
    QueueFull,
    Sampling,
    TokenDelta,
    Turn,
)
from experts.engines.echo import EchoEngine


def engine(slots: int = 2, queue: int = 1, window: int = 100, **options: Any) -> EchoEngine:
    price = Price(usd_per_million=UsdPerMillion(prompt=0, completion=0))
    spec = ExpertSpec(
        name="echo",
        description="echoes",
        base="pypi:none",
        engine="echo",
        context_window=window,
        max_batch_size=slots,
        max_queue_len=queue,
        licence="MIT",
        price=price,
        engine_options=options,
    )
    return EchoEngine(spec)


def ask(prompt: Any = "one two", max_tokens: int = 5, deadline_s: float | None = None, **more: Any) -> GenerationInput:
    return GenerationInput(prompt, Sampling(max_tokens, **more), deadline_s)


async def collect(echo: EchoEngine, request: GenerationInput) -> tuple[list[TokenDelta], Completion]:
    items = [item async for item in echo.generate(request)]
    end = items[-1]
    assert isinstance(end, Completion)
    return [item.tail if isinstance(item, Completion) else item for item in items], end


async def say(echo: EchoEngine, request: GenerationInput) -> str:
    return "".join(delta.text for delta in (await collect(echo, request))[0])


async def test_repeats_the_last_users_words() -> None:
    turns = (Turn("system", "s"), Turn("user", "old"), Turn("assistant", "a"), Turn("user", "one two"))
    deltas, end = await collect(engine(), ask(turns))
    assert "".join(delta.text for delta in deltas) == "one two one two one"
    assert (end.prompt_tokens, end.completion_tokens, end.finish_reason) == (5, 5, FinishReason.LENGTH)
    assert [(delta.token_count, delta.prompt_tokens) for delta in deltas] == [(0, 5), *[(1, 0)] * 5]


async def test_it_is_ready_no_sooner_than_it_is_told() -> None:
    began = time.monotonic()
    await engine(start_s=0.05).start()
    assert time.monotonic() - began >= 0.05


async def test_continues_a_raw_prompt_and_is_deterministic() -> None:
    assert await say(engine(), ask("x y z", 4)) == await say(engine(), ask("x y z", 4)) == "x y z x"


async def test_a_scripted_length_stops_by_itself() -> None:
    _, end = await collect(engine(tokens=3), ask(max_tokens=50))
    assert (end.completion_tokens, end.finish_reason) == (3, FinishReason.STOP)


async def test_max_tokens_wins_over_the_script() -> None:
    _, end = await collect(engine(tokens=30), ask(max_tokens=2))
    assert (end.completion_tokens, end.finish_reason) == (2, FinishReason.LENGTH)


async def test_stop_strings_and_the_window() -> None:
    assert await say(engine(), ask("one two three", 50, stop=("three",))) == "one two "
    _, end = await collect(engine(window=4), ask("one two", 50))
    assert (end.completion_tokens, end.finish_reason) == (2, FinishReason.LENGTH)


async def test_pace_and_bursts() -> None:
    began_s = time.monotonic()
    deltas, end = await collect(engine(ttft_s=0.05, itl_s=0.02, burst=2), ask(max_tokens=6))
    assert time.monotonic() - began_s >= 0.05 + 2 * 0.04
    assert all(delta.token_count % 2 == 0 for delta in deltas)
    assert end.prefill_s >= 0.05
    assert end.prefill_s + end.decode_s >= 0.05 + 2 * 0.04


async def test_a_slow_reader_gets_late_tokens_together() -> None:
    stream = engine(itl_s=0.01).generate(ask(max_tokens=90))
    await anext(stream)
    await anext(stream)
    await asyncio.sleep(0.2)
    late = await anext(stream)
    assert isinstance(late, TokenDelta)
    assert late.token_count >= 15
    await stream.aclose()


@pytest.mark.parametrize(
    ("request_", "error"),
    [(ask("w " * 100), ContextLengthExceeded), (ask(""), InvalidRequest), (ask(()), InvalidRequest)],
)
async def test_what_cannot_be_served_is_refused(request_: GenerationInput, error: type[Exception]) -> None:
    with pytest.raises(error):
        await collect(engine(), request_)


async def test_slots_and_queue_are_bounded_and_cancels_free_them() -> None:
    echo = engine(itl_s=0.01)
    tasks = [asyncio.create_task(collect(echo, ask(max_tokens=90))) for _ in range(3)]
    await asyncio.sleep(0.03)
    assert echo.load() == Load(2, 1, 2)
    with pytest.raises(QueueFull):
        await collect(echo, ask())
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (echo.load(), echo.sequences_total()) == (Load(0, 0, 2), 3)


async def test_deadlines_hold_in_the_queue_and_in_the_batch() -> None:
    echo = engine(slots=1, itl_s=0.01)
    stream = echo.generate(ask(max_tokens=90))
    await anext(stream)
    for running in (False, True):
        with pytest.raises(DeadlineExceeded):
            await collect(echo, ask(max_tokens=90, deadline_s=time.monotonic() + 0.05))
        if not running:
            await stream.aclose()
    assert echo.load() == Load(0, 0, 1)


async def test_a_stopped_engine_is_dead() -> None:
    echo = engine(itl_s=0.01)
    await echo.check_health()
    stream = echo.generate(ask(max_tokens=90))
    await anext(stream)
    await echo.stop()
    with pytest.raises(EngineDead):
        await anext(stream)
    with pytest.raises(EngineDead):
        await echo.check_health()


async def test_who_waits_for_a_slot_or_a_token_hears_that_it_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("experts.engines.echo.HEARTBEAT_S", 0.02)
    echo = engine(ttft_s=0.3)
    answers = await asyncio.gather(*(collect(echo, ask(max_tokens=2)) for _ in range(3)))
    for deltas, end in answers:
        assert deltas.count(HEARTBEAT) >= 3
        assert end.completion_tokens == 2
    assert echo.load() == Load(0, 0, 2)


async def test_turns_come_in_order_and_those_who_left_are_passed_over() -> None:
    echo = engine(itl_s=0.005)
    done: list[int] = []

    async def one(number: int) -> None:
        await collect(echo, ask(max_tokens=20))
        done.append(number)

    tasks = [asyncio.create_task(one(number)) for number in range(3)]
    await asyncio.sleep(0.01)
    tasks[2].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await one(3)
    assert sorted(done[:2]) == [0, 1]
    assert (done[2:], echo.load()) == ([3], Load(0, 0, 2))


async def test_it_is_certain_of_every_word() -> None:
    deltas, _ = await collect(engine(), ask("one two", 3, logprobs=True))
    told = [token for delta in deltas for token in delta.logprobs]
    assert [(token.token, token.logprob) for token in told] == [(b"one", 0.0), (b" two", 0.0), (b" one", 0.0)]
    deltas, _ = await collect(engine(), ask("one two", 3))
    assert not any(delta.logprobs for delta in deltas)
