"""Admission: a bounded number of requests inside, and a bounded number that waits in fair order.

A permit is held until the stream ends, not until its first byte, so capacity is taken exactly while tokens flow.
Admission measures how long permits are held, and predicts how long a new request would wait and run. It refuses a
request at once that cannot finish before its deadline, and one whose deadline comes too close while it waits. So
requests beyond the capacity cost almost nothing, and admitted requests finish.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Final

from serve.admission.fair_queue import FairQueue
from serve.errors import DeadlineExceeded, MoegateError, Overloaded
from serve.request import Priority
from serve.settings.tree import AdmissionSettings

_SMOOTHING: Final = 0.1  # weight of the newest holding time in the average
_RETRY_AFTER_S: Final = (1.0, 60.0)  # bounds of what a refused client is told to wait


@dataclass(slots=True, eq=False)
class _Waiter:
    """A request in the queue; `entered` ends with a permit or with an error."""

    priority: Priority
    tenant: str
    deadline: float
    entered: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def refuse(self, error: MoegateError) -> None:
        """End the wait without a permit."""
        if not self.entered.done():
            self.entered.set_exception(error)


class Admission:
    """Hands out permits.

    Attributes:
        in_flight: permits held.
        held_s: how long a permit is held, seconds, smoothed; 0 until one has been returned.
    """

    def __init__(self, settings: AdmissionSettings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._queue: FairQueue[_Waiter] = FairQueue()
        self.in_flight = 0
        self.held_s = 0.0

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._queue)

    def permit(
        self, *, deadline: float, priority: Priority = Priority.INTERACTIVE, tenant: str = ""
    ) -> AbstractAsyncContextManager[float]:
        """Hold a permit for the body of the `with`; yields how many seconds it waited.

        Args:
            deadline: of the request, on admission's clock.
            priority: its class.
            tenant: whom it belongs to; tenants take turns.

        Raises:
            Overloaded: the queue is full, or the wait would be, or was, too long.
            DeadlineExceeded: the request's own deadline passed while it waited.
        """
        return _Permit(self, priority, tenant, deadline)

    async def enter(self, priority: Priority, tenant: str, deadline: float) -> tuple[float, float]:
        """Take a permit, to be returned by `leave`: when it came, by admission's clock, and the seconds of waiting."""
        asked_at = entered_at = self._clock()
        if self.in_flight < self._settings.max_in_flight and not self._queue:
            self.in_flight += 1
        else:
            await self._wait(_Waiter(priority, tenant, deadline))
            entered_at = self._clock()
        return entered_at, entered_at - asked_at

    def leave(self, entered_at: float) -> None:
        """Return a permit, and learn how long one is held."""
        held_s = self._clock() - entered_at
        self.held_s += _SMOOTHING * (held_s - self.held_s) if self.held_s else held_s
        self._leave()

    async def _wait(self, waiter: _Waiter) -> None:
        self._check_room(waiter)
        self._queue.push(waiter, waiter.priority, waiter.tenant)
        left_s = waiter.deadline - self._clock()
        patience_s = min(left_s, self._settings.queue_timeout_s)
        timer = asyncio.get_running_loop().call_later(patience_s, self._give_up, waiter, left_s <= patience_s)
        try:
            await waiter.entered
        except asyncio.CancelledError:
            if waiter.entered.done() and not waiter.entered.cancelled() and waiter.entered.exception() is None:
                self._leave()  # the permit came in the moment in which its owner left
            raise
        finally:
            timer.cancel()
            self._queue.remove(waiter, waiter.priority, waiter.tenant)

    def _check_room(self, waiter: _Waiter) -> None:
        """Refuse a request that could not finish in time even if it waited.

        Raises:
            Overloaded: see there.
            DeadlineExceeded: the deadline has passed already.
        """
        now = self._clock()
        if waiter.deadline <= now:
            raise DeadlineExceeded("the deadline passed before the request was admitted")
        wait_s = (self.waiting + 1) * self.held_s / self._settings.max_in_flight
        if now + wait_s + self.held_s > waiter.deadline:
            raise self._overloaded("the gateway is at capacity and could not answer before the deadline")
        if self.waiting >= self._settings.max_queue_len and not self._make_room(waiter.priority):
            raise self._overloaded("the gateway is at capacity; retry later")

    def _make_room(self, priority: Priority) -> bool:
        """Give a waiting batch request's place to an interactive one."""
        other = self._queue.newest(Priority.BATCH) if priority is Priority.INTERACTIVE else None
        if other is None:
            return False
        self._queue.remove(other, other.priority, other.tenant)
        other.refuse(self._overloaded("the gateway is at capacity; retry later"))
        return True

    def _give_up(self, waiter: _Waiter, is_deadline: bool) -> None:
        error = DeadlineExceeded("the deadline passed while the request waited to be admitted")
        waiter.refuse(error if is_deadline else self._overloaded("the gateway stayed at capacity; retry later"))

    def _leave(self) -> None:
        """Return a permit, and give it to the first waiting request that can still finish in time."""
        self.in_flight -= 1
        while self.in_flight < self._settings.max_in_flight and self._queue:
            waiter = self._queue.pop()
            if waiter.entered.done():
                continue
            if self._clock() + self.held_s > waiter.deadline:
                waiter.refuse(self._overloaded("the gateway could no longer answer before the deadline"))
                continue
            self.in_flight += 1
            waiter.entered.set_result(None)

    def _overloaded(self, message: str) -> Overloaded:
        """Say when a retry makes sense: when the requests that wait now will have been answered."""
        low, high = _RETRY_AFTER_S
        drained_s = (self.waiting + 1) * self.held_s / self._settings.max_in_flight
        return Overloaded(message, retry_after_s=min(high, max(low, drained_s)))


class _Permit(AbstractAsyncContextManager[float]):
    """One request's permit. A class, as every request takes one: `asynccontextmanager` takes several times as long."""

    __slots__ = ("_admission", "_deadline", "_entered_at", "_priority", "_tenant")

    def __init__(self, admission: Admission, priority: Priority, tenant: str, deadline: float) -> None:
        self._admission = admission
        self._priority = priority
        self._tenant = tenant
        self._deadline = deadline

    async def __aenter__(self) -> float:
        self._entered_at, waited_s = await self._admission.enter(self._priority, self._tenant, self._deadline)
        return waited_s

    async def __aexit__(self, *error: object) -> None:
        self._admission.leave(self._entered_at)
