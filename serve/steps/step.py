"""A step changes or refuses a request before it is routed, and may change its answer on the way back.

Guards, retrieval and the choice among many tools are steps. `serve.app` builds their list once, outermost first, as
starlette builds its middleware. `serve.gateway` runs the list and knows none of them by name. An empty list costs
nothing: the door gets the answer's own iterator.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Final

from protos import expert_pb2 as pb
from serve.request import ChatRequest
from serve.telemetry.record import RequestRecord


class Step:
    """Does nothing; a subclass overrides what it needs.

    One object serves all requests at once, so what belongs to one request lives in the call. A step that asks a model
    has a deadline of its own and states what happens when the model does not answer.
    """

    async def prepare(self, request: ChatRequest, record: RequestRecord) -> ChatRequest:
        """Return the request as the next step, and in the end the router and the expert, should see it.

        Raises:
            MoegateError: the request is refused; nobody is asked.
        """
        return request

    def present(
        self, chunks: AsyncIterator[pb.GenerateChunk], request: ChatRequest, record: RequestRecord
    ) -> AsyncIterator[pb.GenerateChunk]:
        """Return the answer's messages as the step outside this one, and in the end the client, should see them.

        Args:
            chunks: the messages that carry text or tool calls, as they come from the step inside this one.
            request: as this gateway prepared it.
            record: the request's record.
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
        return request

    def present(
        self, chunks: AsyncIterator[pb.GenerateChunk], request: ChatRequest, record: RequestRecord
    ) -> AsyncIterator[pb.GenerateChunk]:
        """Pass the answer through every step, innermost first."""
        for step in reversed(self._steps):
            chunks = step.present(chunks, request, record)
        return chunks

    def conclude(self, completion: pb.Completion, request: ChatRequest, record: RequestRecord) -> pb.Completion:
        """Pass the expert's account through every step, innermost first."""
        for step in reversed(self._steps):
            completion = step.conclude(completion, request, record)
        return completion


NO_STEPS: Final = Steps()
