"""A stream that has its first token: what `serve.dispatch.dispatcher` hands to the core."""

from collections.abc import Callable

from protos import expert_pb2 as pb
from router.decision import RouteDecision
from serve.costs.tariffs import Work
from serve.errors import ExpertFailed
from serve.expert_client.channel import ExpertCall


class ExpertStream:
    """An open stream whose first token has come.

    Attributes:
        expert: who answers.
        decision: the decision as carried out: its first expert is the one that answers.
        ttft_s: seconds from asking that expert to its first token.
    """

    def __init__(
        self,
        expert: str,
        first: pb.GenerateChunk,
        call: ExpertCall,
        ttft_s: float,
        *,
        on_failure: Callable[[], None],
        on_close: Callable[[], None],
        on_give_up: Callable[[], None],
    ) -> None:
        """`on_failure`: the stream broke; `on_close`: it has ended in any way; `on_give_up`: it ends unread."""
        self.expert = expert
        self.decision: RouteDecision
        self.ttft_s = ttft_s
        self._first: pb.GenerateChunk | None = first
        self._call = call
        self._on_failure = on_failure
        self._on_close = on_close
        self._on_give_up = on_give_up

    @property
    def is_ready(self) -> bool:
        """Whether a message can be read without waiting."""
        return self._first is not None or self._call.is_ready

    @property
    def is_handed_back(self) -> bool:
        """Whether the expert has said that no tool fits, in place of an answer."""
        return self._first is not None and self._first.completion.handed_back

    @property
    def work(self) -> Work:
        """What the expert has told of its work up to its first message with tokens or the end."""
        return self._call.work

    @property
    def begun_at(self) -> float:
        """When the engine began on the prompt, if the expert has reported it; dispatch's clock, seconds."""
        return self._call.begun_at

    async def read(self) -> pb.GenerateChunk:
        """The expert's next message, empty after `wake`. The last one carries `completion`; do not read after it.

        Raises:
            ExpertFailed: the expert broke or fell silent.
            DeadlineExceeded: the deadline passed.
        """
        if self._first is not None:
            first, self._first = self._first, None
            return first
        try:
            return await self._call.read()
        except ExpertFailed:
            self._on_failure()
            raise

    def wake(self) -> None:
        """Have the read that waits, or the next one that would, return an empty message."""
        self._call.wake()

    def close(self) -> None:
        """End it here and at the expert; a second call does nothing."""
        self._call.close()
        self._on_close()

    def give_up(self) -> None:
        """End it unread, because another one was quicker or no reader is left."""
        self._on_give_up()
        self.close()
