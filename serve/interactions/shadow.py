"""Asks a candidate, unseen, what somebody has been answered already: recorded beside that answer, compared later.

It stands between the observer and the writer, so it hears only of answers that are kept: whoever has not agreed to that
is not mirrored either. It begins after the user has been served, a few at once, and never while users wait or the
candidate is busy; what runs then is cut off. It speaks to the candidate directly: no permit, no circuit and no retry
budget of the users' is touched. Its cost has a cause of its own in the ledger and is nobody's.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from experts.catalog.spec import ExpertSpec
from protos import expert_pb2 as pb
from serve.costs.ledger import Ledger, Waste
from serve.costs.tariffs import PICO, Work
from serve.dispatch.asking import generate_request
from serve.dispatch.channels import Channels
from serve.errors import MoegateError, Overloaded
from serve.expert_client.channel import ExpertCall
from serve.interactions.kept import Ended, Shadowed
from serve.interactions.observer import Taker
from serve.routing.canary import drawn, origin_of
from serve.settings.flywheel import FlywheelSettings
from serve.telemetry.metrics.trials import TrialMetrics

_WAITING: Final = 32  # that wait for their turn; beyond them one is shed
_TIMEOUT_S: Final = 120.0
_PATIENCE_S: Final = 30.0  # for a message


class Idleness(Protocol):
    """Knows whether users leave a candidate room; `serve.parts` makes it of admission and health."""

    def __call__(self, expert: str) -> bool:
        """Whether nobody waits and the candidate is up and has a free slot."""
        ...


class Shadow:
    """One process's; a `Taker` in front of the writer."""

    def __init__(
        self,
        taker: Taker,
        candidates: Callable[[], Mapping[str, ExpertSpec]],
        channels: Channels,
        ledger: Ledger,
        is_idle: Idleness,
        artifact_of: Callable[[str], str],
        settings: FlywheelSettings,
        metrics: TrialMetrics,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """`candidates` tells each expert's candidate that answers unseen now, by the expert's name."""
        self._taker = taker
        self._candidates = candidates
        self._channels = channels
        self._ledger = ledger
        self._is_idle = is_idle
        self._artifact_of = artifact_of
        self._most = settings.shadows_at_once
        self._metrics = metrics
        self._clock = clock
        self._wall_clock = wall_clock
        self._waiting: deque[tuple[Ended, str]] = deque()
        self._running: set[asyncio.Task[None]] = set()

    def take(self, ended: Ended) -> None:
        """Hand the answer on to be kept, and mirror its request if its conversation is drawn."""
        self._taker.take(ended)
        spec = self._candidates().get(ended.record.expert)
        if spec is None or not drawn(f"shadow {spec.name}", origin_of(ended.record.prepared), spec.shadow_share):
            return
        if len(self._waiting) >= _WAITING or not self._is_idle(spec.name):
            self._shed(spec.name)
            return
        self._waiting.append((ended, spec.name))
        if len(self._running) < self._most:
            task = asyncio.get_running_loop().create_task(self._work())
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def close(self) -> None:
        """Cut off what runs; what waits is shed."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _work(self) -> None:
        """Ask one after the other, until none waits."""
        while self._waiting:
            ended, expert = self._waiting.popleft()
            if self._is_idle(expert):
                await self._ask(ended, expert)
            else:
                self._shed(expert)

    async def _ask(self, ended: Ended, expert: str) -> None:
        began, answer = self._clock(), _Answer()
        try:
            await self._read(ended, expert, answer)
        except Overloaded:
            self._shed(expert)
        except MoegateError as error:
            self._keep(ended, expert, answer, began, error.code)
        else:
            self._keep(ended, expert, answer, began)
        finally:
            self._ledger.spend(expert, answer.work(self._clock()), Waste.SHADOW)

    async def _read(self, ended: Ended, expert: str, answer: "_Answer") -> None:
        """Read the whole answer, unless users need the room.

        Raises:
            Overloaded: they do.
            MoegateError: it has none to give.
        """
        call: ExpertCall | None = None
        try:
            call = await self._channels.generate(
                expert,
                generate_request(ended.record.prepared),
                timeout_s=_TIMEOUT_S,
                accept_within_s=_PATIENCE_S,
                patience_s=_PATIENCE_S,
            )
            answer.add(await call.first(), self._clock())
            answer.begun_at = call.begun_at
            while not answer.is_whole:
                if not self._is_idle(expert):
                    raise Overloaded("users come first")
                answer.add(await call.read(), self._clock())
        finally:
            if call is not None:
                call.close()

    def _keep(self, ended: Ended, expert: str, answer: "_Answer", began: float, error: str = "") -> None:
        now = self._clock()
        usd = self._ledger.price(expert, answer.work(now)) / PICO
        ttft_s = answer.first_at - began if answer.chunks else 0.0
        shadow = Shadowed(expert, ttft_s, now - began, usd, error)
        self._metrics.shadows.labels(expert, "failed" if error else "answered").inc()
        artifact, chunks = self._artifact_of(expert), answer.chunks
        self._taker.take(Ended(self._wall_clock(), ended.record, chunks, artifact, ended.size, shadow))

    def _shed(self, expert: str) -> None:
        self._metrics.shadows.labels(expert, "shed").inc()


class _Answer:
    """What has come of an answer."""

    def __init__(self) -> None:
        self.chunks: list[pb.GenerateChunk] = []
        self.first_at = self.begun_at = 0.0

    @property
    def is_whole(self) -> bool:
        return bool(self.chunks) and self.chunks[-1].HasField("completion")

    def add(self, chunk: pb.GenerateChunk, now: float) -> None:
        self.first_at = self.first_at or now
        self.chunks.append(chunk)

    def work(self, now: float) -> Work:
        """What it took, as the candidate tells; until it is whole, the slot's time so far."""
        if not self.chunks:
            return Work()
        if self.is_whole:
            end = self.chunks[-1].completion
            usage, timings = end.usage, end.timings
            return Work(usage.prompt_tokens, usage.completion_tokens, timings.prefill_s + timings.decode_s)
        tokens = sum(chunk.token_count for chunk in self.chunks)
        return Work(self.chunks[0].prompt_tokens, tokens, now - (self.begun_at or self.first_at))
