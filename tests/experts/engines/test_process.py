"""An engine in a process of its own: streams, queue bound, aborts, and what happens when the process fails."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from experts.catalog.prices import Price, UsdPerMillion
from experts.catalog.spec import ExpertSpec
from experts.engine import (
    HEARTBEAT,
    Completion,
    ContextLengthExceeded,
    DeadlineExceeded,
    EngineDead,
    GenerationInput,
    Load,
    QueueFull,
    Sampling,
    TokenDelta,
)
from experts.engines.process import ProcessEngine
from experts.engines.wire import Weights
from tests.helpers import until

ROOT = Path(__file__).resolve().parents[3]
SPEC = ExpertSpec(
    name="fake",
    description="counts",
    base="pypi:none",
    context_window=1000,
    max_batch_size=2,
    max_queue_len=1,
    licence="MIT",
    price=Price(usd_per_million=UsdPerMillion(prompt=0, completion=0)),
)
Start = Callable[..., Awaitable[ProcessEngine]]


def spawn_fake(theirs: socket.socket) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.experts.fake_pipeline", str(theirs.fileno())]
    return subprocess.Popen(command, pass_fds=[theirs.fileno()], cwd=ROOT, stderr=subprocess.PIPE)


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    engines = []

    async def start_engine(step_s: float = 0.002) -> ProcessEngine:
        engine = ProcessEngine(SPEC, Weights(str(step_s), "hash"), spawn_fake)
        engines.append(engine)
        await engine.start()
        return engine

    yield start_engine
    for engine in engines:
        await engine.stop()
        assert engine._process.stderr is not None
        engine._process.stderr.close()


async def collect(engine: ProcessEngine, text: str = "hi", max_tokens: int = 5) -> tuple[str, Completion]:
    items = [item async for item in engine.generate(GenerationInput(text, Sampling(max_tokens)))]
    end = items[-1]
    assert isinstance(end, Completion)
    deltas = [item.tail if isinstance(item, Completion) else item for item in items]
    assert sum(delta.token_count for delta in deltas) == end.completion_tokens
    return "".join(delta.text for delta in deltas), end


async def test_streams_an_answer(start: Start) -> None:
    engine = await start()
    assert engine.capabilities.artifact == "hash"
    text, end = await collect(engine)
    assert (text, end.completion_tokens) == ("abcde", 5)
    assert (engine.load(), engine.sequences_total()) == (Load(0, 0, 2), 1)
    await engine.check_health()


async def test_a_token_does_not_wait_for_the_next_and_late_ones_come_together(start: Start) -> None:
    engine = await start(step_s=0.2)
    stream = engine.generate(GenerationInput("hi", Sampling(20)))
    first = await anext(stream)
    await asyncio.sleep(1)
    second = await anext(stream)
    assert isinstance(first, TokenDelta)
    assert isinstance(second, TokenDelta)
    assert first.token_count < second.token_count
    assert "abcdefghijklmnopqrst".startswith(first.text + second.text)
    await stream.aclose()


async def test_the_queue_is_bounded(start: Start) -> None:
    engine = await start(step_s=0.01)
    answers = [asyncio.create_task(collect(engine, max_tokens=30)) for _ in range(3)]
    await until(lambda: engine.load() == Load(2, 1, 2))
    with pytest.raises(QueueFull, match="2 sequences run and 1 wait"):
        await collect(engine)
    assert [text for text, _ in await asyncio.gather(*answers)] == ["abcdefghijklmnopqrstuvwxyzabcd"] * 3


async def test_closing_the_generator_frees_the_slot(start: Start) -> None:
    engine = await start()
    stream = engine.generate(GenerationInput("hi", Sampling(900)))
    await anext(stream)
    assert engine.load().running == 1
    await stream.aclose()
    await until(lambda: engine.load() == Load(0, 0, 2))


async def test_cancelling_the_consumer_frees_the_slot(start: Start) -> None:
    engine = await start()
    consumers = [asyncio.create_task(collect(engine, max_tokens=900)) for _ in range(3)]
    await until(lambda: engine.load() == Load(2, 1, 2))
    for consumer in consumers:
        consumer.cancel()
    await until(lambda: engine.load() == Load(0, 0, 2))
    assert (await collect(engine))[0] == "abcde"


async def test_an_overdue_sequence_fails(start: Start) -> None:
    engine = await start()
    request = GenerationInput("hi", Sampling(900), time.monotonic() + 0.1)
    with pytest.raises(DeadlineExceeded):
        async for _ in engine.generate(request):
            pass
    assert engine.load() == Load(0, 0, 2)


async def test_a_prompt_that_does_not_fit_is_refused(start: Start) -> None:
    with pytest.raises(ContextLengthExceeded, match="1000 tokens"):
        await collect(await start(), "w " * 1000)


@pytest.mark.parametrize("poison", ["crash", "die"])
async def test_a_broken_engine_fails_every_sequence_and_its_health(start: Start, poison: str) -> None:
    engine = await start(step_s=0.02)
    healthy = asyncio.create_task(collect(engine, max_tokens=500))
    await until(lambda: engine.load().running == 1)
    with pytest.raises(EngineDead) as caught:
        await collect(engine, f"{poison} secret")
    assert "secret" not in str(caught.value)
    with pytest.raises(EngineDead):
        await healthy
    with pytest.raises(EngineDead):
        await engine.check_health()
    with pytest.raises(EngineDead):
        await collect(engine)


async def test_the_log_of_a_broken_engine_holds_no_prompt(start: Start) -> None:
    engine = await start()
    with pytest.raises(EngineDead):
        await collect(engine, "crash secret")
    await asyncio.to_thread(engine._process.wait, 5)
    assert engine._process.stderr is not None
    log = engine._process.stderr.read().decode()
    assert "RuntimeError < step:" in log
    assert "secret" not in log


async def test_a_stuck_engine_is_noticed(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = await start()
    stream = engine.generate(GenerationInput("hi", Sampling(900)))
    await anext(stream)
    engine._process.send_signal(signal.SIGSTOP)
    monkeypatch.setattr("experts.engines.process.STALL_S", 0.1)
    await asyncio.sleep(0.3)
    with pytest.raises(EngineDead, match="stuck"):
        await engine.check_health()
    await stream.aclose()


async def test_stopping_ends_the_process_and_what_lives_in_it(start: Start) -> None:
    engine = await start()
    consumer = asyncio.create_task(collect(engine, max_tokens=900))
    await until(lambda: engine.load().running == 1)
    await engine.stop()
    with pytest.raises(EngineDead, match="stopped"):
        await consumer
    assert engine._process.returncode == 0


async def test_the_process_ends_with_its_replica() -> None:
    """A replica that is killed closes its end of the socket without a word."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = spawn_fake(theirs)
    assert await asyncio.to_thread(process.wait, 5) == 0
    assert process.stderr is not None
    process.stderr.close()


async def test_nothing_is_inherited_but_the_socket(start: Start) -> None:
    engine = await start()
    folder = f"/proc/{engine._process.pid}/fd"
    links = [os.readlink(f"{folder}/{entry}") for entry in os.listdir(folder)]
    assert sum(link.startswith("socket:") for link in links) == 1


async def test_who_waits_hears_that_the_engine_steps(start: Start) -> None:
    """Two long prompts are read, a third one queues: all of them hear of it, and none of a token."""
    engine = await start(step_s=0.02)
    waiting = [asyncio.create_task(heard(engine, "think1000", 3.5)) for _ in range(3)]
    for items in await asyncio.gather(*waiting):
        assert items.count(HEARTBEAT) >= 2
        assert not any(item.token_count for item in items)


async def test_an_engine_that_hangs_is_silent(start: Start) -> None:
    engine = await start(step_s=0.02)
    waiting = asyncio.create_task(heard(engine, "think1000", 4.5))
    await until(lambda: engine.load().running == 1)
    engine._process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(0.1)
    begun = await heard(engine, "think1000", 2.5)
    assert begun == [], "who came after that hears nothing"
    engine._process.send_signal(signal.SIGCONT)
    assert (await waiting).count(HEARTBEAT) <= 3


async def heard(engine: ProcessEngine, text: str, seconds: float) -> list[TokenDelta]:
    """Listen for so long."""
    items: list[TokenDelta] = []
    stream = engine.generate(GenerationInput(text, Sampling(5)))
    try:
        async with asyncio.timeout(seconds):
            async for item in stream:
                assert isinstance(item, TokenDelta)
                items.append(item)
    except TimeoutError:
        await stream.aclose()
    return items
