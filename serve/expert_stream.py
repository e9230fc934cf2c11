"""A stream that has its first token: what `serve.dispatch` hands to the core."""

from collections.abc import Callable

from protos import expert_pb2 as pb
from router.decision import RouteDecision
from serve.errors import ExpertFailed
from serve.expert_channel import ExpertCall


class ExpertStream:
    """An open stream whose first token has come.

    Attributes:
        expert: who answers.
        decision: the decision as carried out: its first expert is the one that answers.
        ttft_s: seconds from asking that expert to its first token.
    """

    def __init__(
        self, expert: str, first: pb.GenerateChunk, call: ExpertCall, ttft_s: float, *, on_failure: Callable[[], None]
    ) -> None:
        self.expert = expert
        self.decision: RouteDecision
        self.ttft_s = ttft_s
        self._first: pb.GenerateChunk | None = first
        self._call = call
        self._on_failure = on_failure

    @property
    def is_ready(self) -> bool:
        """Whether a message can be read without waiting."""
        return self._first is not None or self._call.is_ready

    async def read(self) -> pb.GenerateChunk:
        """The expert's next message; the last one carries `completion`, none may be asked for after it.

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

    def close(self) -> None:
        """End it, at the expert, too."""
        self._call.close()
