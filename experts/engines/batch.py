"""Continuous batching over any pipeline: who is in the batch, who waits, and how each sequence ends.

Runs inside the engine process (`experts.engines.child`), which calls `handle` for every command and `step` while there
is work. It does no I/O and keeps no thread, so tests drive it step by step with a fake `Pipeline`.
"""

from __future__ import annotations

import logging
from collections import abc
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from experts.engine import (
    Completion,
    ContextLengthExceeded,
    DeadlineExceeded,
    EngineError,
    FinishReason,
    InvalidRequest,
    Sampling,
    Turn,
    no_room,
)
from experts.engines.detokenizer import Detokenizer
from experts.engines.failures import describe_failure
from experts.engines.sequence import Sequence
from experts.engines.wire import Abort, Event, Released, Started, Submit

_log = logging.getLogger("moegate.engine")


class Handle(Protocol):
    """A sequence inside a pipeline."""

    def read(self) -> tuple[list[int], FinishReason | None, abc.Sequence[float]]:
        """Return the tokens made since the last read, how the sequence ended if it did, and each token's logprob.

        The last is empty unless the sampling asks for it.
        """

    def cancel(self) -> None:
        """Drop the sequence; the next step no longer includes it."""


class Pipeline(Protocol):
    """What makes tokens: an adapter over one library. Every method may block for as long as one step takes."""

    def tokenise(self, prompt: tuple[Turn, ...] | str) -> list[int]:
        """Apply the chat template to turns, none to text, and tokenise.

        Returns at least `context_window` tokens when the prompt has that many or more.

        Raises:
            InvalidRequest: the chat template refuses these turns.
        """

    def detokenizer(self) -> Detokenizer:
        """Return a fresh detokeniser."""

    def add(self, sequence: int, prompt: list[int], sampling: Sampling) -> Handle:
        """Take a sequence into the batch.

        Raises:
            InvalidRequest: the library refuses these settings.
        """

    def step(self) -> None:
        """Run one step for every sequence of the batch."""

    def is_busy(self) -> bool:
        """Say whether a step would do anything."""


class Batch:
    """At most `max_batch_size` sequences run, the rest wait in order of arrival."""

    def __init__(
        self, pipeline: Pipeline, max_batch_size: int, context_window: int, clock: Callable[[], float]
    ) -> None:
        self._pipeline = pipeline
        self._max_batch_size = max_batch_size
        self._context_window = context_window
        self._clock = clock
        self._waiting: dict[int, Sequence] = {}
        self._running: dict[int, tuple[Sequence, Handle]] = {}

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to step."""
        return not (self._waiting or self._running or self._pipeline.is_busy())

    def handle(self, command: Submit | Abort) -> list[Event]:
        """Carry out one command; what it ends at once is returned."""
        if isinstance(command, Abort):
            return self._abort(command.sequence)
        try:
            self._waiting[command.sequence] = self._prepare(command)
        except Exception as error:  # see `_refused`
            return [(command.sequence, _refused(error))]
        return []

    def step(self) -> list[Event]:
        """Drop what is overdue, fill the batch, run one step, and return what came of it."""
        events = [*self._expire(), *self._fill()]
        if self._pipeline.is_busy():
            self._pipeline.step()
        return events + self._collect()

    def _prepare(self, command: Submit) -> Sequence:
        request = command.request
        prompt = self._pipeline.tokenise(request.prompt)
        room = self._context_window - len(prompt)
        if room < 1:
            window = self._context_window
            raise ContextLengthExceeded(no_room(window, len(prompt)))
        if not prompt:
            raise InvalidRequest("the prompt is empty")
        sampling = replace(request.sampling, max_tokens=min(request.sampling.max_tokens, room))
        return Sequence(prompt, sampling, self._pipeline.detokenizer(), command.arrived_s, request.deadline_s)

    def _abort(self, sequence: int) -> list[Event]:
        is_known = sequence in self._waiting or sequence in self._running
        self._drop(sequence)
        return [(sequence, Released())] if is_known else []

    def _drop(self, sequence: int) -> None:
        self._waiting.pop(sequence, None)
        if running := self._running.pop(sequence, None):
            running[1].cancel()

    def _expire(self) -> list[Event]:
        now_s = self._clock()
        waiting = [number for number, sequence in self._waiting.items() if sequence.is_overdue(now_s)]
        running = [number for number, (sequence, _) in self._running.items() if sequence.is_overdue(now_s)]
        for number in waiting + running:
            self._drop(number)
        queued = DeadlineExceeded("the deadline passed before the first token")
        return [*((n, queued) for n in waiting), *((n, DeadlineExceeded("the deadline passed")) for n in running)]

    def _fill(self) -> list[Event]:
        events: list[Event] = []
        while self._waiting and len(self._running) < self._max_batch_size:
            number = next(iter(self._waiting))
            sequence = self._waiting.pop(number)
            try:
                handle = self._pipeline.add(number, sequence.prompt, sequence.sampling)
            except Exception as error:  # see `_refused`
                events.append((number, _refused(error)))
                continue
            begun = sequence.start(self._clock())
            self._running[number] = (sequence, handle)
            events.append((number, Started(begun.prompt_tokens)))
        return events

    def _collect(self) -> list[Event]:
        events: list[Event] = []
        now_s = self._clock()
        for number, (sequence, handle) in list(self._running.items()):
            tokens, finish, logprobs = handle.read()
            progress = sequence.accept(tokens, finish, now_s, logprobs)
            if progress is not None:
                events.append((number, progress))
            if isinstance(progress, Completion):
                self._drop(number)
        return events


def _refused(error: Exception) -> EngineError:
    """Say why a sequence is not taken in. A library may raise anything over a text, and all the others must go on."""
    if isinstance(error, EngineError):
        return error
    _log.error("a request could not be accepted: %s", describe_failure(error))
    return InvalidRequest("the engine cannot take this request")
