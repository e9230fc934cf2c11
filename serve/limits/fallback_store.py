"""Keeps the accounts of a store that may fail: no request is stopped, and nothing is forgotten.

If Redis does not answer within `redis_timeout_s`, it is not asked for a few seconds, and each gateway keeps the
accounts by itself. When Redis answers again, it is told what requests have spent meanwhile.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, Final, TypeVar

from redis.exceptions import RedisError

from serve.limits.bucket import NOTHING, Amount, LimitStatus
from serve.limits.stores import LimitStore, LocalStore
from serve.request import Limit

log = logging.getLogger("moegate.limits")

T = TypeVar("T")

_REST_S: Final = 5.0  # how long a store that failed is left alone
_MOST_UNTOLD: Final = 100_000  # settlements kept for it; a few hundred bytes each
_FAILURES: Final = (RedisError, OSError, TimeoutError)


class FallbackStore:
    """Asks a store, and keeps accounts here while that store fails."""

    def __init__(
        self, store: LimitStore, *, on_failure: Callable[[], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._own = LocalStore()
        self._on_failure = on_failure
        self._clock = clock
        self._rests_until = 0.0
        self._untold: deque[tuple[str, LimitStatus, Amount]] = deque(maxlen=_MOST_UNTOLD)
        self._tasks: set[asyncio.Task[Any]] = set()

    async def take(self, name: str, limit: Limit, wanted: Amount, now: float) -> LimitStatus:
        """Reserve in the store, or here while the store fails."""
        if self._clock() >= self._rests_until:
            try:
                standing = await self._store.take(name, limit, wanted, now)
            except _FAILURES:
                self._failed()
            else:
                self._tell()
                return standing
        return replace(await self._own.take(name, limit, wanted, now), is_stand_in=True)

    async def settle(self, name: str, taken: LimitStatus, used: Amount, now: float) -> LimitStatus:
        """Settle in the store, or remember it for later, even if the caller is cancelled: what was used stays used."""
        return await asyncio.shield(self._start(self._settle(name, taken, used, now)))

    async def close(self) -> None:
        """Wait for settlements under way, then close the store."""
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._store.close()

    async def _settle(self, name: str, taken: LimitStatus, used: Amount, now: float) -> LimitStatus:
        if taken.is_stand_in:
            self._untold.append((name, replace(taken, reserved=NOTHING), Amount(0, used.pico)))
            return replace(await self._own.settle(name, taken, used, now), is_stand_in=True)
        if self._clock() >= self._rests_until:
            try:
                return await self._store.settle(name, taken, used, now)
            except _FAILURES:
                self._failed()
        # A bucket fills up by itself: by the time that this is told, only the money still matters.
        self._untold.append((name, taken, Amount(taken.reserved.tokens, used.pico)))
        return taken

    def _tell(self) -> None:
        """Report to the store the settlements that it has missed."""
        if self._untold:
            untold = list(self._untold)
            self._untold.clear()
            self._start(self._tell_all(untold))

    async def _tell_all(self, untold: list[tuple[str, LimitStatus, Amount]]) -> None:
        for i, (name, taken, used) in enumerate(untold):
            try:
                await self._store.settle(name, taken, used, taken.at)
            except _FAILURES:
                self._failed()
                self._untold.extend(untold[i:])
                return

    def _start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _failed(self) -> None:
        self._rests_until = self._clock() + _REST_S
        self._on_failure()
        log.warning("limits kept in this process for now: redis does not answer")
