"""One replica: a continuous batch on a token clock, so that an answer costs three events, not one a token.

All running sequences gain a token at each step. So a sequence is done when the replica's token clock has advanced by
the length of its answer. The batch is a heap of clock values. The rate of the clock is 1 / step time for the number of
sequences, and changes only when one enters or leaves. The context's share of a step is that of the half-made answer. A
prompt is prefilled before it joins, whole and one at a time, between two steps, as compiled graphs do it;
`serve.commands.plan.fused` is the engine that mixes both. Times are seconds of the simulation.
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush
from math import inf

from serve.commands.plan.description import EngineModel

NEAR = 1e-6  # tokens: an answer is done when rounding alone keeps it from being so


class Replica:
    """A batch, the queue before it, and what it has done."""

    def __init__(self, engine: EngineModel, expert: int, ready_at: float) -> None:
        self.expert = expert
        self.ready_at = ready_at
        self.slots = engine.slots
        self.load = 0  # running, prefilling and waiting
        self.version = 0  # of the next event that was announced
        self.busy_s = 0.0
        self.is_draining = False
        self.queue: deque[tuple[int, int, int]] = deque()  # request, prompt tokens, answer tokens
        self._engine = engine
        self._step_s = engine.step_s()
        self._fixed_s, self._per_token_s = engine.prefill_ms / 1e3, engine.prefill_ms_per_token / 1e3
        self._per_context_s = engine.step_ms_per_context_token / 1e3
        self._running: list[tuple[float, int, float]] = []  # heap: (clock at the end, request, context)
        self._context = 0.0  # tokens in the caches of those who run
        self._clock = self._then = 0.0
        self._prefilling: tuple[int, int, int] | None = None  # request, prompt and answer tokens
        self._prefill_end = inf
        self._prefill_rate = 0.0  # tokens a second that running sequences get meanwhile

    @property
    def running(self) -> list[int]:
        """The requests inside, those that wait included."""
        prefilling = [self._prefilling[0]] if self._prefilling else []
        return [entry[1] for entry in self._running] + prefilling + [entry[0] for entry in self.queue]

    def add(self, now: float, request: int, prompt: int, answer: int) -> None:
        """Take a request into the queue, and into prefill when there is room."""
        self.load += 1
        self.queue.append((request, prompt, answer))
        if self._prefilling is None and len(self._running) < self.slots:
            self._move(now)
            self._begin_prefill(now)

    def next_event(self) -> float:
        """Say when something happens next here, if nobody comes before."""
        rate = self._rate()
        if not self._running or not rate:
            return self._prefill_end
        return min(self._prefill_end, self._then + max(0.0, self._running[0][0] - self._clock) / rate)

    def happen(self, now: float, first_s: list[float], end_s: list[float]) -> None:
        """Let the event happen that was announced for `now`; write the times of first and last tokens."""
        self._move(now)
        if now >= self._prefill_end:
            self._join(now, first_s, end_s)
        self._leave(now, self._clock + NEAR, end_s)
        if self._prefilling is None and self.queue and len(self._running) < self.slots:
            self._begin_prefill(now)

    def _is_busy(self) -> bool:
        return bool(self._running) or self._prefilling is not None

    def _rate(self) -> float:
        if self._prefilling is not None:
            return self._prefill_rate
        return 1 / self._decode_s() if self._running else 0.0

    def _decode_s(self) -> float:
        """Seconds of a step of those who run; 0 when nobody does."""
        return self._step_s[len(self._running)] + self._per_context_s * self._context

    def _enter(self, request: int, prompt: int, answer: int) -> None:
        context = prompt + answer / 2
        self._context += context
        heappush(self._running, (self._clock + answer - 1, request, context))

    def _leave(self, now: float, clock: float, end_s: list[float]) -> None:
        running = self._running
        while running and running[0][0] <= clock:
            _, request, context = heappop(running)
            end_s[request] = now
            self._context = self._context - context if running else 0.0
            self.load -= 1

    def _move(self, now: float) -> None:
        if self._is_busy():
            self._clock += self._rate() * (now - self._then)
            self.busy_s += now - self._then
        self._then = now

    def _begin_prefill(self, now: float) -> None:
        request, prompt, answer = self.queue.popleft()
        others = len(self._running)
        took = self._fixed_s + self._per_token_s * self._engine.prefill_tokens(prompt) + self._decode_s()
        self._prefilling = (request, prompt, answer)
        self._prefill_end = now + took
        self._prefill_rate = 1 / took if others and took else 0.0

    def _join(self, now: float, first_s: list[float], end_s: list[float]) -> None:
        assert self._prefilling is not None  # an end was announced
        request, prompt, answer = self._prefilling
        self._prefilling, self._prefill_end = None, inf
        first_s[request] = now
        self._enter(request, prompt, answer)
