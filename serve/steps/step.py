"""A step changes or refuses a request before it is routed, may answer it itself, and may change its answer.

Guards, a cache, retrieval and the choice among many tools are steps. `serve.app` builds their list once, outermost
first, as starlette builds its middleware. `serve.gateway` runs the list and knows none of them by name. An empty list
costs nothing: the door gets the answer's own iterator.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import ClassVar, Final, Protocol

from protos import expert_pb2 as pb
from router.decision import RouteDecision
from serve.errors import UnsupportedParameter
from serve.request import NO_FIELDS, ChatRequest
from serve.telemetry.record import RequestRecord


class Source(Protocol):
    """Where an answer's messages come from: an expert's stream, or a step that has them."""

    @property
    def decision(self) -> RouteDecision:
        """Who answers, and why."""

    @property
    def is_ready(self) -> bool:
        """Whether a message can be read without waiting."""

    async def read(self) -> pb.GenerateChunk:
        """The next message, empty after `wake`. The last one carries `completion`; do not read after it.

        Raises:
            MoegateError: the answer broke off.
        """

    def wake(self) -> None:
        """Have the read that waits, or the next one that would, return an empty message."""


Wake = Callable[[], None]

Onward = Callable[[ChatRequest], AbstractAsyncContextManager[Source]]
"""Has a request answered by what lies behind a step: the steps inside it, and in the end the router and the experts."""


class Step:
    """Does nothing; a subclass overrides what it needs.

    One object serves all requests at once, so what belongs to one request lives in the call. A step that asks a model
    has a deadline of its own and states what happens when the model does not answer.
    """

    reads: ClassVar[frozenset[str]] = NO_FIELDS
    """What only this step gives a meaning (`ChatRequest.needs_steps`)."""

    async def prepare(self, request: ChatRequest, record: RequestRecord) -> ChatRequest:
        """Return the request as the next step, and in the end the router and the expert, should see it.

        Raises:
            MoegateError: the request is refused; nobody is asked.
        """
        return request

    def answer(
        self, request: ChatRequest, record: RequestRecord, onward: Onward
    ) -> AbstractAsyncContextManager[Source]:
        """Hold open the answer: `onward(request)`, what is made of it, or one of the step's own.

        In the last case nobody is routed to or asked; `record.recalled` tells who gave the answer once.
        """
        return onward(request)

    def present(
        self, chunks: AsyncIterator[pb.GenerateChunk], request: ChatRequest, record: RequestRecord, wake: Wake
    ) -> AsyncIterator[pb.GenerateChunk]:
        """Return the answer's messages as the step outside this one, and in the end the client, should see them.

        Args:
            chunks: the messages as they come from the step inside this one; one without text or tool calls may be
                left out, and goes no further than the steps.
            request: as this gateway prepared it.
            record: the request's record.
            wake: has `chunks` yield an empty message now, if it has to wait, for a step that holds something back.
        """
        return chunks

    def conclude(self, completion: pb.Completion, request: ChatRequest, record: RequestRecord) -> pb.Completion:
        """Return the expert's own account of an answer, as the step outside this one should see it.

        Called once `present` has come to its end.
        """
        return completion

    async def run(self) -> None:
        """What the step does beside requests, until it is cancelled."""


class Steps:
    """The list."""

    def __init__(self, steps: Sequence[Step] = ()) -> None:
        """Take the steps, outermost first: the first one prepares first and presents last."""
        self._steps = tuple(steps)
        self._reads = NO_FIELDS.union(*(step.reads for step in self._steps))
        self._answering = [step for step in reversed(self._steps) if type(step).answer is not Step.answer]

    def check(self, request: ChatRequest) -> None:
        """See that a step reads whatever means nothing without one.

        Raises:
            UnsupportedParameter: none does; it names the field.
        """
        for name, field in request.needs_steps.items():
            if name not in self._reads:
                raise UnsupportedParameter(f"'{name}' is not offered by this gateway", param=field)

    def __len__(self) -> int:
        return len(self._steps)

    def __iter__(self) -> Iterator[Step]:
        return iter(self._steps)

    async def prepare(self, request: ChatRequest, record: RequestRecord) -> ChatRequest:
        """Let every step prepare the request.

        Raises:
            MoegateError: a step refuses it.
        """
        for step in self._steps:
            request = await step.prepare(request, record)
        record.prepared = request
        return request

    def answer(
        self, request: ChatRequest, record: RequestRecord, onward: Onward
    ) -> AbstractAsyncContextManager[Source]:
        """Have the request answered by the outermost step that answers, or by `onward`."""
        for step in self._answering:
            onward = partial(step.answer, record=record, onward=onward)
        return onward(request)

    def present(
        self, chunks: AsyncIterator[pb.GenerateChunk], request: ChatRequest, record: RequestRecord, wake: Wake
    ) -> AsyncIterator[pb.GenerateChunk]:
        """Pass the answer through every step, innermost first."""
        for step in reversed(self._steps):
            chunks = step.present(chunks, request, record, wake)
        return chunks

    def conclude(self, completion: pb.Completion, request: ChatRequest, record: RequestRecord) -> pb.Completion:
        """Pass the expert's account through every step, innermost first."""
        for step in reversed(self._steps):
            completion = step.conclude(completion, request, record)
        return completion


NO_STEPS: Final = Steps()
