"""Callers share an encoder: each gets its own vectors, queries go first, and nobody who has left is worked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from experts.encoders.batching import EncoderQueue, Options
from experts.encoders.encoder import Role, TextTooLong
from experts.engine import DeadlineExceeded, EngineDead, QueueFull
from tests.fakes.scripted_encoder import ScriptedEncoder, vector_of

QUERY, PASSAGE = Options(Role.QUERY), Options(Role.PASSAGE)


@pytest.fixture
def encoder() -> ScriptedEncoder:
    return ScriptedEncoder()


@pytest_asyncio.fixture
async def queue(encoder: ScriptedEncoder) -> AsyncIterator[EncoderQueue]:
    queue = EncoderQueue(encoder, max_batch_size=4, max_queue_len=12)
    yield queue
    encoder.may_go_on.set()
    await queue.stop()


async def held(queue: EncoderQueue, encoder: ScriptedEncoder) -> asyncio.Task[object]:
    """Hold the encoder up with a first text, so that what comes next waits."""
    encoder.may_go_on.clear()
    task: asyncio.Task[object] = asyncio.create_task(queue.encode(["first"], PASSAGE))
    await asyncio.to_thread(encoder.has_begun.wait, 10)
    return task


async def test_each_caller_gets_its_own(queue: EncoderQueue, encoder: ScriptedEncoder) -> None:
    first = await held(queue, encoder)
    asked = [["a", "bb"], ["ccc"], ["dddd", "e"]]
    tasks = [asyncio.create_task(queue.encode(texts, PASSAGE)) for texts in asked]
    await asyncio.sleep(0)
    encoder.may_go_on.set()
    for texts, task in zip(asked, tasks, strict=True):
        served = await task
        assert [tuple(row) for row in served.encoding.pooled] == [vector_of(text) for text in texts]
        assert served.queue_s > 0
    await first
    assert [texts for _, texts in encoder.calls] == [("first",), ("a", "bb", "ccc"), ("dddd", "e")]


async def test_a_long_list_goes_in_pieces_and_a_query_between_them(
    queue: EncoderQueue, encoder: ScriptedEncoder
) -> None:
    first = await held(queue, encoder)
    many = [f"{number}" for number in range(10)]
    passages = asyncio.create_task(queue.encode(many, PASSAGE))
    await asyncio.sleep(0)
    query = asyncio.create_task(queue.encode(["which?"], QUERY))
    await asyncio.sleep(0)
    encoder.may_go_on.set()
    await first
    await query
    assert [tuple(row) for row in (await passages).encoding.pooled] == [vector_of(text) for text in many]
    assert [(role, len(texts)) for role, texts in encoder.calls[1:]] == [
        (Role.QUERY, 1), (Role.PASSAGE, 4), (Role.PASSAGE, 4), (Role.PASSAGE, 2),
    ]  # fmt: skip


async def test_who_has_left_is_not_worked_for(queue: EncoderQueue, encoder: ScriptedEncoder) -> None:
    first = await held(queue, encoder)
    gone = asyncio.create_task(queue.encode(["gone"], PASSAGE))
    late = asyncio.create_task(queue.encode(["late"], PASSAGE, deadline_s=0.0))
    await asyncio.sleep(0)
    assert queue.waiting == 2
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    assert queue.waiting == 1
    encoder.may_go_on.set()
    await first
    with pytest.raises(DeadlineExceeded):
        await late
    assert [texts for _, texts in encoder.calls] == [("first",)]


async def test_too_many_are_refused(queue: EncoderQueue, encoder: ScriptedEncoder) -> None:
    first = await held(queue, encoder)
    waiting = asyncio.create_task(queue.encode(["x"] * 12, PASSAGE))
    await asyncio.sleep(0)
    with pytest.raises(QueueFull):
        await queue.encode(["one more"], QUERY)
    encoder.may_go_on.set()
    await first
    await waiting


async def test_only_its_own_caller_hears_of_a_bad_text(queue: EncoderQueue, encoder: ScriptedEncoder) -> None:
    first = await held(queue, encoder)
    bad = asyncio.create_task(queue.encode(["w " * 9], PASSAGE))
    good = asyncio.create_task(queue.encode(["fine"], PASSAGE))
    await asyncio.sleep(0)
    encoder.may_go_on.set()
    await first
    with pytest.raises(TextTooLong, match="text 0 has 9 tokens"):
        await bad
    assert (await good).encoding.token_counts == (1,)


async def test_a_broken_encoder_leaves_nobody_waiting(queue: EncoderQueue, encoder: ScriptedEncoder) -> None:
    encoder.breaks_on = "poison"
    first = await held(queue, encoder)
    broken = asyncio.create_task(queue.encode(["poison"], PASSAGE))
    behind = asyncio.create_task(queue.encode(["behind"] * 6, PASSAGE))
    await asyncio.sleep(0)
    encoder.may_go_on.set()
    await first
    for task in (broken, behind):
        with pytest.raises(EngineDead, match=r"^the encoder failed"):
            await task
    with pytest.raises(EngineDead, match="RuntimeError"):
        queue.check_health()
    with pytest.raises(EngineDead):
        await queue.encode(["after"], QUERY)
