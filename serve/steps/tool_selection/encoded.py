"""What the encoder says of sets of tools and of requests.

A set is encoded beside requests, once it comes a second time: a set that is sent once never profits. Until then, and
whenever the encoder fails or is too slow, the words decide alone.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from protos import encoder_pb2 as pb
from router.tools.index import Floats
from router.tools.meaning import Meaning, asked_line
from serve.errors import MoegateError
from serve.steps.tool_selection.prepared import PreparedSet
from serve.steps.vectors import Encoder, vectors_of
from serve.telemetry.metrics.encoder import EncoderMetrics

_CALL: Final = "select"
_FROM_USES: Final = 2
_WAITING: Final = 16  # sets; the one that has waited longest goes
_BATCH: Final = 64  # lines of one call
_BATCH_TIMEOUT_S: Final = 30.0
_PAUSE_S: Final = 5.0  # after a failure


class ToolEncoder:
    """Asks the encoder; one object serves all requests."""

    def __init__(
        self,
        encoder: Encoder,
        metrics: EncoderMetrics,
        timeout_s: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        pause_s: float = _PAUSE_S,
    ) -> None:
        """`timeout_s`: how long a request waits for the encoder; `pause_s`: how long sets do after a failure."""
        self._encoder = encoder
        self._metrics = metrics
        self._timeout_s = timeout_s
        self._clock = clock
        self._pause_s = pause_s
        self._waiting: deque[PreparedSet] = deque(maxlen=_WAITING)
        self._is_wanted = asyncio.Event()

    @property
    def is_busy(self) -> bool:
        """Whether sets wait, or are being read."""
        return bool(self._waiting)

    async def meaning(self, newest: str, tools: PreparedSet, deadline: float) -> Meaning | None:
        """Say what the encoder makes of a request before a set; None: the words decide alone.

        Args:
            newest: the newest user turn.
            tools: the set; it is put in the line where it has no vectors yet and comes again.
            deadline: of the request, on the clock.
        """
        if tools.vectors is None:
            if tools.uses >= _FROM_USES and tools not in self._waiting:
                self._waiting.append(tools)
                self._is_wanted.set()
            return None
        line = asked_line(newest)
        timeout_s = min(self._timeout_s, deadline - self._clock())
        if not line or timeout_s <= 0:
            return None
        try:
            vectors = await self._encoded([line], pb.ROLE_QUERY, timeout_s)
        except MoegateError:
            return None
        return Meaning(vectors[0], tools.vectors)

    async def run(self) -> None:
        """Encode the sets that wait, one after another, until cancelled."""
        while True:
            await self._is_wanted.wait()
            if not self._waiting:
                self._is_wanted.clear()
                continue
            tools = self._waiting[0]
            try:
                tools.vectors = await self._set(tools.lines)
            except MoegateError:
                await asyncio.sleep(self._pause_s)
            if self._waiting and self._waiting[0] is tools:  # the line may have moved on meanwhile
                self._waiting.popleft()

    async def _set(self, lines: Sequence[str]) -> Floats:
        parts = [
            await self._encoded(lines[at : at + _BATCH], pb.ROLE_PASSAGE, _BATCH_TIMEOUT_S)
            for at in range(0, len(lines), _BATCH)
        ]
        return np.concatenate(parts)

    async def _encoded(self, texts: Sequence[str], role: pb.Role.ValueType, timeout_s: float) -> Floats:
        began = self._clock()
        try:
            vectors = await vectors_of(texts, role, self._encoder, self._metrics, timeout_s=timeout_s)
        except MoegateError as error:
            self._metrics.calls.labels(_CALL, error.code).inc()
            raise
        self._metrics.calls.labels(_CALL, "ok").inc()
        self._metrics.seconds.labels(_CALL).observe(self._clock() - began)
        return vectors
