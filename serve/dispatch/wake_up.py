"""Wakes experts that have no replica: one call to each is held open until it is answered.

Ray Serve starts a replica only for calls that wait. A request that moved on to the next expert no longer waits. So
`serve.dispatch.dispatcher` asks for a waking call if an attempt at an expert with `min_replicas` 0 ended before a
replica took it on. The call is a `Describe`, which gives the engine no work. After the answer nothing more is
called, and Ray Serve stops the replica when it is no longer needed.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from typing import Final, Protocol

from protos import expert_pb2 as pb
from serve.errors import MoegateError

log = logging.getLogger("moegate.waker")

ANSWERED: Final = "answered"
GIVEN_UP: Final = "given_up"
_PAUSE_S: Final = 1.0  # before a call that was lost on the way is made again

OnAwake = Callable[[str, pb.DescribeResponse], None]


class Describe(Protocol):
    """A function that probes an expert."""

    def __call__(self, expert: str, *, timeout_s: float) -> Coroutine[object, object, pb.DescribeResponse]:
        """Probe it; raises `MoegateError` if it does not answer."""
        ...


class ColdStartWaker:
    """Holds the waking calls of one process, at most one an expert.

    Attributes:
        on_awake: told who has answered, and what.
    """

    def __init__(
        self, experts: Iterable[str], describe: Describe, *, limit_s: float, on_end: Callable[[str, str], None]
    ) -> None:
        """`experts` may be without a replica; `on_end` is told how each wake ended: `answered` or `given_up`."""
        self._experts = frozenset(experts)
        self._describe = describe
        self._limit_s = limit_s
        self._on_end = on_end
        self._wakes: dict[str, asyncio.Task[None]] = {}
        self._held: set[str] = set()
        self._is_closed = False
        self.on_awake: list[OnAwake] = []

    def is_waiting(self, expert: str) -> bool:
        """Whether a waking call is held open, so that requests for this expert should go to others."""
        return expert in self._held

    def wake(self, expert: str) -> None:
        """Start waking the expert, unless that is under way or it always has a replica."""
        if expert not in self._experts or expert in self._wakes or self._is_closed:
            return
        log.info("waking an expert", extra={"expert": expert})
        task = self._wakes[expert] = asyncio.create_task(self._wake(expert))
        task.add_done_callback(lambda _: self._wakes.pop(expert, None))

    def answered(self, expert: str) -> None:
        """Send requests to the expert again: it has answered another call."""
        self._held.discard(expert)

    async def close(self) -> None:
        """Give up the open calls, and hold no more."""
        self._is_closed = True
        wakes = list(self._wakes.values())
        for task in wakes:
            task.cancel()
        await asyncio.gather(*wakes, return_exceptions=True)

    async def _wake(self, expert: str) -> None:
        try:
            async with asyncio.timeout(self._limit_s):
                answer = await self._hold(expert)
        except TimeoutError:
            log.warning("an expert did not wake", extra={"expert": expert})
            self._on_end(expert, GIVEN_UP)
            return
        self._on_end(expert, ANSWERED)
        for tell in self.on_awake:
            tell(expert, answer)

    async def _hold(self, expert: str) -> pb.DescribeResponse:
        """Call until an answer comes."""
        while True:
            self._held.add(expert)
            try:
                return await self._describe(expert, timeout_s=self._limit_s)
            except MoegateError:
                pass
            finally:
                self._held.discard(expert)
            await asyncio.sleep(_PAUSE_S)
