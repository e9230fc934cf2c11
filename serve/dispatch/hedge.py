"""Hedging: if the first attempt is slow, a second one runs beside it, and the first to succeed is kept."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar


class Attempt(Protocol):
    """The result of an attempt that succeeds."""

    def give_up(self) -> None:
        """End an attempt that is not needed."""
        ...


T = TypeVar("T", bound=Attempt)


async def first_of(
    primary: Callable[[], Awaitable[T]],
    secondary: Callable[[], Awaitable[T]],
    *,
    after_s: float,
    may_hedge: Callable[[], bool],
) -> T:
    """Make the primary attempt and, if it takes longer than `after_s` and may be hedged, also the secondary one.

    The one that is not needed is cancelled, or given up if it has succeeded as well; it has ended when this returns or
    raises. Should both fail, the primary one's error counts.

    Raises:
        Exception: whatever the attempts raise.
    """
    tasks: list[asyncio.Future[T]] = [asyncio.ensure_future(primary())]
    try:
        await asyncio.wait(tasks, timeout=after_s)
        winner: asyncio.Future[T] | None = None
        if not tasks[0].done() and may_hedge():
            tasks.append(asyncio.ensure_future(secondary()))
            winner = await _first_success(tasks)
        winner = winner or tasks[0]
        won = await winner
    except BaseException:
        await _end(tasks)
        raise
    try:
        await _end([task for task in tasks if task is not winner])
    except BaseException:  # who asked has left meanwhile
        won.give_up()
        raise
    return won


async def _first_success(tasks: list[asyncio.Future[T]]) -> asyncio.Future[T] | None:
    """Wait for one to succeed; None when none does."""
    waiting = set(tasks)
    while waiting:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task in done and _is_success(task):
                return task
    return None


async def _end(tasks: list[asyncio.Future[T]]) -> None:
    """End all of them, first those that have succeeded, so that none is forgotten if this is interrupted."""
    for task in tasks:
        if _is_success(task):
            task.result().give_up()
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


def _is_success(task: asyncio.Future[T]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None
