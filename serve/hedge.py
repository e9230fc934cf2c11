"""Hedging: when the first attempt is slow, a second one is made beside it, and whichever succeeds first is kept."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar


class Closable(Protocol):
    """What an attempt ends in."""

    def close(self) -> None:
        """Give it up."""
        ...


T = TypeVar("T", bound=Closable)


async def first_of(
    primary: Callable[[], Awaitable[T]],
    secondary: Callable[[], Awaitable[T]],
    *,
    after_s: float,
    may_hedge: Callable[[], bool],
) -> T:
    """Make the primary attempt and, if it takes longer than `after_s` and may be hedged, the secondary one beside it.

    The one that is not needed is cancelled, or closed if it has succeeded as well. Should both fail, the primary
    one's error counts.

    Raises:
        Exception: whatever the attempts raise.
    """
    tasks: list[asyncio.Future[T]] = [asyncio.ensure_future(primary())]
    winner: asyncio.Future[T] | None = None
    try:
        await asyncio.wait(tasks, timeout=after_s)
        if not tasks[0].done() and may_hedge():
            tasks.append(asyncio.ensure_future(secondary()))
            winner = await _first_success(tasks)
        winner = winner or tasks[0]
        return await winner
    finally:
        await _give_up([task for task in tasks if task is not winner or not _is_success(task)])


async def _first_success(tasks: list[asyncio.Future[T]]) -> asyncio.Future[T] | None:
    """Wait for one to succeed; None when none does."""
    waiting = set(tasks)
    while waiting:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task in done and _is_success(task):
                return task
    return None


async def _give_up(tasks: list[asyncio.Future[T]]) -> None:
    for task in tasks:
        task.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if not isinstance(outcome, BaseException):
            outcome.close()


def _is_success(task: asyncio.Future[T]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None
