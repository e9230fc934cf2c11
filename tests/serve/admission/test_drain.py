"""The end of service, as the requests in progress and those that come too late are told of it."""

import asyncio

import pytest

from serve.admission.drain import Drain
from serve.errors import ShuttingDown


async def test_what_has_begun_is_told_that_its_answer_is_not_complete() -> None:
    drain = Drain()

    async def answer() -> None:
        with drain.watch():
            await asyncio.sleep(60)

    answers = [asyncio.create_task(answer()) for _ in range(2)]
    await asyncio.sleep(0)
    drain.happen()
    for ended in await asyncio.gather(*answers, return_exceptions=True):
        assert isinstance(ended, ShuttingDown)
        assert "before the answer was complete" in ended.message


async def test_what_comes_too_late_is_told_that_nothing_was_begun() -> None:
    drain = Drain()
    drain.happen()
    with pytest.raises(ShuttingDown, match="is shutting down"), drain.watch():
        raise AssertionError("the body is not entered")


async def test_what_finishes_within_the_grace_is_none_the_wiser() -> None:
    drain = Drain()
    with drain.watch():
        await asyncio.sleep(0)
    drain.happen()
    await asyncio.sleep(0)
