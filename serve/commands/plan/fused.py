"""A replica whose steps decode and prefill at once (split-fuse), as OpenVINO GenAI and vLLM do; exact to the step.

A step takes one token of every running sequence. The rest of `chunk_tokens` goes to prompts in the order of their
arrival: several in one step, or one over several. A step takes the time of decoding alone (of one sequence if nobody
decodes, because the weights are read all the same). If it takes prompts, `prefill_ms` and `prefill_ms_per_token` are
added. A request that comes during a step waits for its end. Steps that only decode are not events: the token clock of
`serve.commands.plan.replica` runs through them.
"""

from __future__ import annotations

from collections import deque
from math import ceil, inf

from serve.commands.plan.description import EngineModel
from serve.commands.plan.replica import NEAR, Replica


class FusedReplica(Replica):
    """A batch that takes prompts in beside its decoding."""

    def __init__(self, engine: EngineModel, expert: int, ready_at: float, chunk_tokens: int) -> None:
        super().__init__(engine, expert, ready_at)
        self._chunk = chunk_tokens
        self._prompts: deque[list[int]] = (
            deque()
        )  # inside, not yet prefilled: request, tokens left, prompt and answer tokens
        self._done: list[tuple[int, int, int]] = []  # request, prompt, answer: prefilled when the mixed step ends
        self._begin_at = inf  # the end of the decoding step after which prompts are taken in
        self._step_end = inf  # of the mixed step under way
        self._step_rate = 0.0

    @property
    def running(self) -> list[int]:
        """The requests inside, with those that are being prefilled."""
        prefilling = [entry[0] for entry in self._done] + [entry[0] for entry in self._prompts]
        return super().running + prefilling

    def add(self, now: float, request: int, prompt: int, answer: int) -> None:
        """Put a request into the queue; begin a step with its prompt if there is room."""
        self.load += 1
        self.queue.append((request, prompt, answer))
        if self._step_end < inf or self._begin_at < inf or not self._has_room():
            return
        self._move(now)
        if not self._running:
            self._begin_step(now)
        else:
            self._begin_at = now + max(0.0, ceil(self._clock - NEAR) - self._clock) / self._rate()

    def next_event(self) -> float:
        """Return the time of the next event here, if no request comes before."""
        if self._step_end < inf or not self._running:
            return self._step_end
        return min(self._begin_at, self._then + max(0.0, self._running[0][0] - self._clock) / self._rate())

    def happen(self, now: float, first_s: list[float], end_s: list[float]) -> None:
        """End the current step: write the times of first and last tokens, and begin the next step."""
        self._move(now)
        self._clock = float(round(self._clock))
        for request, prompt, answer in self._done:
            first_s[request] = now
            self._enter(request, prompt, answer)
        self._done, self._step_end, self._begin_at = [], inf, inf
        self._leave(now, self._clock, end_s)
        if self._prompts or (self.queue and self._has_room()):
            self._begin_step(now)

    def _has_room(self) -> bool:
        return len(self._running) + len(self._prompts) < self.slots

    def _is_busy(self) -> bool:
        return bool(self._running) or self._step_end < inf

    def _rate(self) -> float:
        return self._step_rate if self._step_end < inf else super()._rate()

    def _begin_step(self, now: float) -> None:
        """Begin a mixed step: fill what decoding leaves of the chunk with prompts."""
        while self.queue and self._has_room():
            request, prompt, answer = self.queue.popleft()
            self._prompts.append([request, self._engine.prefill_tokens(prompt), prompt, answer])
        others = len(self._running)
        budget = max(1, self._chunk - others)
        left = budget
        while self._prompts and left:
            entry = self._prompts[0]
            taken = min(left, entry[1])
            entry[1] -= taken
            left -= taken
            if not entry[1]:
                self._prompts.popleft()
                self._done.append((entry[0], entry[2], entry[3]))
        took = (self._decode_s() if others else self._step_s[1]) + self._fixed_s + self._per_token_s * (budget - left)
        self._step_end = now + took
        self._step_rate = 1 / took if took else 0.0
