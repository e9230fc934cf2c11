"""May a request come in? A bounded number inside, a bounded number waiting in order, nobody for ever.

A permit is held until the stream ends, not until its first byte: capacity is taken exactly as long as tokens flow.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from serve.errors import DeadlineExceeded, Overloaded
from serve.settings import AdmissionSettings


class Admission:
    """Hands out permits, first come first served."""

    def __init__(self, settings: AdmissionSettings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._permits = asyncio.Semaphore(settings.max_in_flight)
        self.waiting = 0
        self.in_flight = 0

    @asynccontextmanager
    async def permit(self, *, wait_s: float) -> AsyncIterator[float]:
        """Hold a permit for the body of the `with`, which is told how many seconds it waited.

        Args:
            wait_s: seconds left to the request; the queue's own timeout caps it.

        Raises:
            Overloaded: the queue is full, or the queue's timeout passed.
            DeadlineExceeded: the request's own deadline passed while it waited.
        """
        asked_at = self._clock()
        await self._acquire(wait_s)
        self.in_flight += 1
        try:
            yield self._clock() - asked_at
        finally:
            self.in_flight -= 1
            self._permits.release()

    async def _acquire(self, wait_s: float) -> None:
        if not self._permits.locked():
            await self._permits.acquire()
            return
        if self.waiting >= self._settings.max_queue_len:
            raise Overloaded("the gateway is at capacity; retry later")
        self.waiting += 1
        try:
            async with asyncio.timeout(min(wait_s, self._settings.queue_timeout_s)):
                await self._permits.acquire()
        except TimeoutError:
            if wait_s <= self._settings.queue_timeout_s:
                raise DeadlineExceeded("the deadline passed while the request waited to be admitted") from None
            raise Overloaded("the gateway stayed at capacity; retry later") from None
        finally:
            self.waiting -= 1
