"""The scripted engine: repeats the last user's words at a set pace. For tests and load tests.

It obeys everything that a real engine obeys (batch slots, queue limit, context window, stop strings, deadlines,
cancels), so tests against it test the code in front of an engine. A word is a token; the same request always gives the
same answer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator
from dataclasses import replace
from itertools import chain, count

from pydantic import BaseModel, ConfigDict, Field

from experts.catalog.spec import ExpertSpec
from experts.engine import (
    HEARTBEAT,
    HEARTBEAT_S,
    Capabilities,
    Completion,
    ContextLengthExceeded,
    DeadlineExceeded,
    EngineDead,
    FinishReason,
    GenerationInput,
    InvalidRequest,
    Load,
    TokenDelta,
    no_room,
)
from experts.engines.detokenizer import Detokenizer
from experts.engines.sequence import Sequence
from experts.engines.slots import Slots


class EchoOptions(BaseModel):
    """`engine_options` of an echo expert."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    start_s: float = Field(default=0.0, ge=0)  # before it is ready
    ttft_s: float = Field(default=0.0, ge=0)  # from the batch slot to the first token
    itl_s: float = Field(default=0.0, ge=0)  # between tokens of one sequence
    burst: int = Field(default=1, ge=1)  # tokens that come together, every burst * itl_s
    tokens: int | None = Field(default=None, ge=1)  # the answer's length; None: max_tokens


class EchoEngine:
    """Implements `experts.engine.Engine` without a model."""

    def __init__(self, spec: ExpertSpec) -> None:
        self._spec = spec
        self._options = EchoOptions.model_validate(spec.engine_options)
        self._slots = Slots(spec.max_batch_size, spec.max_queue_len)
        self._is_stopped = False

    @property
    def capabilities(self) -> Capabilities:
        """What this engine can do: `max_tokens`, `stop`, and `logprobs`: it is certain of every word."""
        honoured = frozenset({"max_tokens", "stop", "logprobs"})
        return Capabilities(self._spec.max_batch_size, self._spec.context_window, honoured)

    async def start(self) -> None:
        """Wait for `start_s`; there is nothing to load."""
        await asyncio.sleep(self._options.start_s)

    async def stop(self) -> None:
        """Stop; live sequences fail at their next token."""
        self._is_stopped = True

    async def generate(self, request: GenerationInput) -> AsyncGenerator[TokenDelta | Completion, None]:
        """Wait for a slot, then repeat the user's words at the set pace."""
        self._check_alive()
        sequence, answer = _compose(request, self._spec.context_window)
        async with self._slots.place() as turn:
            async for beat in self._slots.wait(turn, sequence.deadline_s):
                self._check_alive()
                yield beat
            self._check_alive()
            yield sequence.start(time.monotonic())
            async for item in self._play(sequence, answer):
                yield item

    def load(self) -> Load:
        """Report how many sequences run and wait."""
        return self._slots.load()

    def sequences_total(self) -> int:
        """Count the sequences since the start."""
        return self._slots.sequences_total

    async def check_health(self) -> None:
        """Fail if the engine was stopped."""
        self._check_alive()

    def _check_alive(self) -> None:
        if self._is_stopped:
            raise EngineDead("the engine was stopped")

    async def _play(self, sequence: Sequence, answer: Iterator[int]) -> AsyncGenerator[TokenDelta | Completion, None]:
        """Give out tokens on schedule; what is late comes together, as from a batch that steps regardless."""
        burst, period_s = self._options.burst, self._options.burst * self._options.itl_s
        length = min(self._options.tokens or sequence.sampling.max_tokens, sequence.sampling.max_tokens)
        due_s, made = time.monotonic() + self._options.ttft_s, 0
        while True:
            async for beat in self._wait_until(due_s, sequence):
                yield beat
            now_s = time.monotonic()
            late_bursts = int((now_s - due_s) / period_s) if period_s else 0
            due_s += (1 + late_bursts) * period_s
            tokens = [next(answer) for _ in range(min((1 + late_bursts) * burst, length - made))]
            made += len(tokens)
            is_all = made >= length and length < sequence.sampling.max_tokens
            progress = sequence.accept(tokens, FinishReason.STOP if is_all else None, now_s, [0.0] * len(tokens))
            if progress is not None:
                yield progress
            if isinstance(progress, Completion):
                return

    async def _wait_until(self, due_s: float, sequence: Sequence) -> AsyncGenerator[TokenDelta, None]:
        until_s = due_s if sequence.deadline_s is None else min(due_s, sequence.deadline_s)
        while (left_s := until_s - time.monotonic()) > HEARTBEAT_S:
            await asyncio.sleep(HEARTBEAT_S)
            self._check_alive()
            yield HEARTBEAT
        await asyncio.sleep(max(0.0, left_s))
        self._check_alive()
        if sequence.is_overdue(time.monotonic()):
            raise DeadlineExceeded("the deadline passed")


def _compose(request: GenerationInput, context_window: int) -> tuple[Sequence, Iterator[int]]:
    """Turn a request into a sequence and the endless token ids of its answer."""
    if isinstance(request.prompt, str):
        everything = words = request.prompt.split()
    else:
        everything = [word for turn in request.prompt for word in turn.content.split()]
        users = [turn.content.split() for turn in request.prompt if turn.role == "user"]
        words = (users[-1] if users else []) or everything
    if not words:
        raise InvalidRequest("the prompt is empty")
    room = context_window - len(everything)
    if room < 1:
        raise ContextLengthExceeded(no_room(context_window, len(everything)))
    table = [words[0].encode(), *(b" " + word.encode() for word in words)]  # only the first word has no space before it
    answer = chain([0], (1 + number % len(words) for number in count(1)))
    sampling = replace(request.sampling, max_tokens=min(request.sampling.max_tokens, room))
    prompt = list(range(len(everything)))
    return Sequence(prompt, sampling, Detokenizer(table), time.monotonic(), request.deadline_s), answer
