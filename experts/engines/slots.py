"""A replica's places: so many sequences run at once, so many wait before them, the rest is refused.

For engines whose replica keeps the batch itself; `experts.engines.process` leaves that to the engine's process.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from experts.engine import HEARTBEAT, HEARTBEAT_S, DeadlineExceeded, Load, QueueFull, TokenDelta

Turn = asyncio.Future[None]
"""Done once its sequence holds a slot."""


class Slots:
    """The slots of one batch and the queue before it, first come, first served.

    Attributes:
        sequences_total: let in since the start.
    """

    def __init__(self, max_batch_size: int, max_queue_len: int) -> None:
        self._max_batch_size = max_batch_size
        self._max_queue_len = max_queue_len
        self._turns: deque[Turn] = deque()  # who waits for a slot, in order
        self._live = self._running = 0
        self.sequences_total = 0

    @asynccontextmanager
    async def place(self) -> AsyncGenerator[Turn, None]:
        """Stand in the queue and then, once the turn has come, hold a slot.

        Raises:
            QueueFull: every place is taken.
        """
        if self._live >= self._max_batch_size + self._max_queue_len:
            raise QueueFull(f"{self._max_batch_size} sequences run and {self._max_queue_len} wait")
        turn: Turn = asyncio.get_running_loop().create_future()
        self._live += 1
        self.sequences_total += 1
        self._turns.append(turn)
        self._fill()
        try:
            yield turn
        finally:
            self._live -= 1
            self._running -= turn.done()
            turn.cancel()
            self._fill()

    async def wait(self, turn: Turn, deadline_s: float | None) -> AsyncGenerator[TokenDelta, None]:
        """Wait for the turn; yield a heartbeat now and then.

        Raises:
            DeadlineExceeded: the deadline, on `time.monotonic`, passed before it came.
        """
        while not turn.done():
            left_s = HEARTBEAT_S if deadline_s is None else deadline_s - time.monotonic()
            if left_s <= 0:
                raise DeadlineExceeded("the deadline passed before the first token")
            await asyncio.wait({turn}, timeout=min(HEARTBEAT_S, left_s))
            if not turn.done():
                yield HEARTBEAT

    def load(self) -> Load:
        """Report how many sequences run and wait."""
        return Load(self._running, self._live - self._running, self._max_batch_size)

    def _fill(self) -> None:
        while self._turns and self._running < self._max_batch_size:
            turn = self._turns.popleft()
            if not turn.cancelled():
                turn.set_result(None)
                self._running += 1
