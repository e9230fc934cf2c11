"""The consumer's end of a sequence: lone tokens at once, late ones together, the end last."""

import asyncio

import pytest

from experts.engine import Completion, EngineDead, FinishReason, TokenDelta
from experts.engines.stream import TokenStream

END = Completion(FinishReason.STOP, 1, 3, 0.0, 0.0, 0.0, TokenDelta("c", 1))


async def test_what_piles_up_is_read_together() -> None:
    stream = TokenStream()
    stream.feed(TokenDelta("a", 1))
    assert await anext(stream) == TokenDelta("a", 1)
    stream.feed(TokenDelta("b", 1))
    stream.feed(TokenDelta("c", 1))
    assert await anext(stream) == TokenDelta("bc", 2)


async def test_the_end_takes_the_rest_with_it() -> None:
    stream = TokenStream()
    stream.feed(TokenDelta("ab", 2))
    stream.feed(END)
    stream.feed(TokenDelta("never", 1))
    [end] = [item async for item in stream]
    assert isinstance(end, Completion)
    assert (end.tail, stream.has_ended) == (TokenDelta("abc", 3), True)


async def test_tokens_made_before_a_failure_are_not_lost() -> None:
    stream = TokenStream()
    stream.feed(TokenDelta("a", 1))
    stream.feed(EngineDead("gone"))
    assert await anext(stream) == TokenDelta("a", 1)
    for _ in range(2):
        with pytest.raises(EngineDead):
            await anext(stream)


async def test_a_waiting_reader_is_woken() -> None:
    stream = TokenStream()
    reader = asyncio.create_task(anext(stream))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    stream.feed(TokenDelta("a", 1))
    assert await asyncio.wait_for(reader, 60) == TokenDelta("a", 1)
