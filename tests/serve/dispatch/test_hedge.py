"""Two attempts, one answer, nothing left open."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from serve.dispatch.hedge import first_of


class Attempt:
    def __init__(self, name: str) -> None:
        self.name = name
        self.is_given_up = False

    def give_up(self) -> None:
        self.is_given_up = True


class Attempts:
    """Makes attempts that take so long, and knows what became of them."""

    def __init__(self) -> None:
        self.made: list[Attempt] = []
        self.cancelled: list[str] = []

    def after(self, seconds: float, name: str, *, fails: bool = False) -> Callable[[], Awaitable[Attempt]]:
        async def attempt() -> Attempt:
            try:
                await asyncio.sleep(seconds)
            except asyncio.CancelledError:
                self.cancelled.append(name)
                raise
            if fails:
                raise ConnectionError(name)
            self.made.append(Attempt(name))
            return self.made[-1]

        return attempt


async def test_a_fast_first_attempt_stays_alone() -> None:
    attempts = Attempts()
    won = await first_of(attempts.after(0, "a"), attempts.after(0, "b"), after_s=0.5, may_hedge=lambda: True)
    assert (won.name, len(attempts.made), won.is_given_up) == ("a", 1, False)


async def test_the_faster_one_wins_and_the_other_is_cancelled() -> None:
    attempts = Attempts()
    won = await first_of(attempts.after(5, "a"), attempts.after(0, "b"), after_s=0.01, may_hedge=lambda: True)
    assert (won.name, attempts.cancelled) == ("b", ["a"])


async def test_without_leave_there_is_no_second() -> None:
    attempts = Attempts()
    won = await first_of(attempts.after(0.05, "a"), attempts.after(0, "b"), after_s=0.01, may_hedge=lambda: False)
    assert (won.name, len(attempts.made)) == ("a", 1)


async def test_one_failure_is_forgiven_two_are_the_firsts() -> None:
    attempts = Attempts()
    slow_failure = attempts.after(0.03, "a", fails=True)
    won = await first_of(slow_failure, attempts.after(0.06, "b"), after_s=0.01, may_hedge=lambda: True)
    assert won.name == "b"
    with pytest.raises(ConnectionError, match="a"):
        await first_of(slow_failure, attempts.after(0, "b", fails=True), after_s=0.01, may_hedge=lambda: True)


async def test_both_successes_leave_one_open() -> None:
    attempts = Attempts()
    for _ in range(20):
        won = await first_of(attempts.after(0.02, "a"), attempts.after(0.01, "b"), after_s=0.01, may_hedge=lambda: True)
        assert not won.is_given_up
        assert [attempt.is_given_up for attempt in attempts.made if attempt is not won] in ([], [True])
        attempts.made.clear()


async def test_who_leaves_leaves_nothing() -> None:
    attempts = Attempts()
    task = asyncio.ensure_future(
        first_of(attempts.after(5, "a"), attempts.after(5, "b"), after_s=0.01, may_hedge=lambda: True)
    )
    await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert sorted(attempts.cancelled) == ["a", "b"]


async def test_who_leaves_as_it_is_decided_leaves_nothing() -> None:
    """Cancelled at every turn of the event loop around the end: what has been made is handed over or given up."""
    for turns in range(12):
        attempts = Attempts()
        a, b = attempts.after(0.01, "a"), attempts.after(0, "b")
        task = asyncio.ensure_future(first_of(a, b, after_s=0, may_hedge=lambda: True))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        (won,) = await asyncio.gather(task, return_exceptions=True)
        assert [attempt for attempt in attempts.made if not attempt.is_given_up] in ([], [won])
        assert len(attempts.made) + len(attempts.cancelled) <= 2
        assert len(asyncio.all_tasks()) == 1
