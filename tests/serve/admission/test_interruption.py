"""One idea of cancelling: who watches is interrupted, and whoever else cancels keeps the last word."""

import asyncio
import itertools
from collections.abc import Callable

import pytest

from serve.admission.drain import Drain
from serve.admission.interruption import Interruption
from serve.doors.http_api.asgi import ClientDisconnect, ClientGone
from serve.errors import ShuttingDown


class Stopped(Exception):
    """The interruption's error."""


async def ended(task: asyncio.Task[object]) -> BaseException | None:
    await asyncio.wait({task})
    assert task.cancelling() == 0 or task.cancelled(), "nobody further out may take it for cancelled"
    return asyncio.CancelledError() if task.cancelled() else task.exception()


async def watching(*interruptions: Interruption, cleanup: Callable[[], object] = lambda: None) -> None:
    """Work for long, watched from the outside in."""
    if not interruptions:
        try:
            await asyncio.sleep(60)
        finally:
            cleanup()
        return
    with interruptions[0].watch():
        await watching(*interruptions[1:], cleanup=cleanup)


def make() -> Interruption:
    return Interruption(Stopped)


async def start(*interruptions: Interruption) -> asyncio.Task[object]:
    task: asyncio.Task[object] = asyncio.create_task(watching(*interruptions))
    await asyncio.sleep(0)
    return task


async def test_who_watches_ends_with_the_error_and_is_not_cancelled() -> None:
    one = make()
    tasks = [await start(one) for _ in range(3)]
    one.happen()
    one.happen()  # a second time changes nothing
    for task in tasks:
        error = await ended(task)
        assert isinstance(error, Stopped)
        assert error.args == (True,)


async def test_who_comes_later_is_refused_and_who_left_earlier_is_left_alone() -> None:
    one = make()

    async def brief() -> str:
        with one.watch():
            await asyncio.sleep(0)
        await asyncio.sleep(0.02)
        return "done"

    left = asyncio.create_task(brief())
    await asyncio.sleep(0.01)
    one.happen()
    assert await left == "done"
    error = await ended(await start(one))
    assert isinstance(error, Stopped)
    assert error.args == (False,)


async def test_somebody_elses_cancel_stays_one() -> None:
    for order in itertools.permutations(("happen", "cancel")):
        one = make()
        task = await start(one)
        for what in order:
            one.happen() if what == "happen" else task.cancel()
        assert isinstance(await ended(task), asyncio.CancelledError), order
    alone = await start(make())
    alone.cancel()
    assert isinstance(await ended(alone), asyncio.CancelledError)


async def test_the_outer_of_two_has_the_last_word() -> None:
    for order in itertools.permutations((0, 1)):
        departure, drain = ClientDisconnect(), Drain()
        both = (departure, drain)
        task = await start(*both)
        for which in order:
            both[which].happen()
        assert isinstance(await ended(task), ClientGone), order


async def test_each_alone_says_what_it_is() -> None:
    for at, kind in enumerate((ClientGone, ShuttingDown)):
        both = (ClientDisconnect(), Drain())
        task = await start(*both)
        both[at].happen()
        assert isinstance(await ended(task), kind)


async def test_a_timeout_inside_and_one_outside_are_none_the_worse() -> None:
    one = make()

    async def work() -> str:
        async with asyncio.timeout(60):
            try:
                with one.watch():
                    async with asyncio.timeout(0.01):
                        await asyncio.sleep(60)
            except TimeoutError:
                await asyncio.sleep(0.02)
                return "late inside"
        return "?"

    task = asyncio.create_task(work())
    assert await task == "late inside"
    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    one.happen()
    assert isinstance(await ended(task), Stopped)


async def test_an_error_out_of_the_cleanup_leaves_no_cancellation_behind() -> None:
    one = make()

    def fail() -> None:
        raise OSError("while it cleaned up")

    async def work() -> int:
        with pytest.raises(OSError, match="cleaned"):
            await watching(one, cleanup=fail)
        task = asyncio.current_task()
        assert task is not None
        await asyncio.sleep(0.01)  # still able to
        return task.cancelling()

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    one.happen()
    assert await task == 0


async def test_a_task_that_was_cancelled_before_it_watched_is_interrupted_all_the_same() -> None:
    one = make()

    async def stubborn() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await watching(one)

    task: asyncio.Task[object] = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0.01)
    one.happen()
    await asyncio.wait({task})
    assert isinstance(task.exception(), Stopped)
