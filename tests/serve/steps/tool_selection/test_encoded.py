"""The encoder reads sets of tools beside requests; when it fails or is slow, the words decide alone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from protos import chat_pb2 as chat
from protos import encoder_pb2 as pb
from serve.errors import EncoderUnavailable
from serve.steps.tool_selection.encoded import ToolEncoder
from serve.steps.tool_selection.prepared import PreparedSet, PreparedTools
from serve.telemetry.metrics import Metrics
from tests.helpers import until

LATE = 1e12


class Encoder:
    """Counts letters and words; fails while `is_down`, and waits for `gate`."""

    def __init__(self) -> None:
        self.asked: list[pb.EmbedRequest] = []
        self.timeouts: list[float] = []
        self.is_down = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def embed(self, message: pb.EmbedRequest, *, timeout_s: float) -> pb.EmbedResponse:
        self.asked.append(message)
        self.timeouts.append(timeout_s)
        await self.gate.wait()
        if self.is_down:
            raise EncoderUnavailable("the encoder cannot be reached; retry later")
        vectors = [np.array([len(text), len(text.split())], "<f4").tobytes() for text in message.texts]
        return pb.EmbedResponse(embeddings=[pb.Embedding(vector=one, tokens=1) for one in vectors], dimensions=2)


@pytest.fixture
def encoder() -> Encoder:
    return Encoder()


@pytest.fixture
async def asks(encoder: Encoder) -> AsyncIterator[ToolEncoder]:
    one = ToolEncoder(encoder, Metrics(CollectorRegistry()).encoder, 0.25, pause_s=0.01)
    task = asyncio.create_task(one.run())
    yield one
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def prepared(name: str = "a", count: int = 70, uses: int = 2) -> PreparedSet:
    tools = [chat.Tool(name=f"{name}_{n}", description="does it") for n in range(count)]
    sets = PreparedTools(1000)
    for _ in range(uses):
        found = await sets.get(tools)
    return found


async def until_encoded(tools: PreparedSet) -> None:
    await until(lambda: tools.vectors is not None)


async def test_a_set_that_comes_once_is_not_read(asks: ToolEncoder, encoder: Encoder) -> None:
    assert await asks.meaning("Hello", await prepared(uses=1), LATE) is None
    await asyncio.sleep(0.01)
    assert not encoder.asked


async def test_a_set_is_read_once_and_then_compared(asks: ToolEncoder, encoder: Encoder) -> None:
    tools = await prepared()
    for _ in range(3):
        assert await asks.meaning("Hello there", tools, LATE) is None
    await until_encoded(tools)
    meaning = await asks.meaning("  Hello there ", tools, LATE)
    assert meaning is not None
    assert meaning.tools.shape == (70, 2)
    assert meaning.asked.tolist() == [11, 2]
    assert [len(message.texts) for message in encoder.asked] == [64, 6, 1]
    assert encoder.timeouts[-1] == 0.25


async def test_a_failure_leaves_it_to_the_words_and_the_set_is_tried_again(asks: ToolEncoder, encoder: Encoder) -> None:
    encoder.is_down, tools = True, await prepared()
    for _ in range(2):
        assert await asks.meaning("Hello", tools, LATE) is None
        await until(lambda: not asks.is_busy)
    assert len(encoder.asked) == 2
    encoder.is_down = False
    assert await asks.meaning("Hello", tools, LATE) is None
    await until_encoded(tools)
    assert await asks.meaning("Hello", tools, LATE) is not None
    encoder.is_down = True
    assert await asks.meaning("Hello", tools, LATE) is None


@pytest.mark.parametrize(("words", "deadline"), [("Hello", -1.0), ("   ", LATE), ("", LATE)])
async def test_nothing_to_ask_or_no_time(asks: ToolEncoder, encoder: Encoder, words: str, deadline: float) -> None:
    tools = await prepared(count=3)
    await asks.meaning("Hello", tools, LATE)
    await until_encoded(tools)
    assert await asks.meaning(words, tools, deadline) is None
    assert len(encoder.asked) == 1


async def test_the_line_has_an_end(asks: ToolEncoder, encoder: Encoder) -> None:
    encoder.gate.clear()
    sets = [await prepared(f"s{number}", 2) for number in range(40)]
    for tools in sets:
        await asks.meaning("Hello", tools, LATE)
    encoder.gate.set()
    await until_encoded(sets[-1])
    assert sum(tools.vectors is not None for tools in sets) <= 17
