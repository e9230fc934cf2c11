"""An answer as the doors get it: the messages of whoever gives it, through the steps, and how it ended."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace

from protos import chat_pb2 as chat
from protos import expert_pb2 as pb
from serve.limits.quota import Allowance, Headers
from serve.request import ChatRequest
from serve.steps.step import NO_STEPS, Source, Steps
from serve.telemetry.record import RequestRecord
from serve.validation.forms import check_answer


@dataclass(frozen=True, slots=True)
class End:
    """How an answer ended: the expert's last message, USD, and seconds from receipt to first token (our clock)."""

    completion: pb.Completion
    cost_usd: float
    ttft_s: float


class Answer:
    """An answer whose first token is here.

    Attributes:
        decision: who answers, and why.
        overhead_s: seconds the gateway itself took before dispatch.
        end: how it ended, once `chunks` is exhausted.
    """

    def __init__(
        self,
        request: ChatRequest,
        source: Source,
        record: RequestRecord,
        allowance: Allowance,
        steps: Steps = NO_STEPS,
    ) -> None:
        """`request` is as the steps have prepared it."""
        self.decision = source.decision
        self.overhead_s = record.overhead_s
        self.end = End(pb.Completion(), 0.0, 0.0)
        self._request = request
        self._source = source
        self._record = record
        self._allowance = allowance
        self._steps = steps

    @property
    def notes(self) -> Mapping[str, str]:
        """What steps have told so far, by step."""
        return self._record.notes

    @property
    def documents(self) -> Sequence[chat.Document]:
        """What the answer can cite, by number from 1: the request's documents and those that steps have found."""
        return () if isinstance(self._request.input, str) else self._request.input.documents

    @property
    def tells_logprobs(self) -> bool:
        """Whether the caller wants each token's log probability."""
        return self._request.sampling.logprobs

    @property
    def limit_headers(self) -> Headers:
        """What is left of the key's limits, as both doors report it; final once `chunks` is exhausted."""
        return self._allowance.headers

    @property
    def prompt_tokens(self) -> int:
        """How long the prompt is, as far as the expert has told; most do with the first token."""
        return self._record.prompt_tokens

    @property
    def is_more_ready(self) -> bool:
        """Whether the next message is there already."""
        return self._source.is_ready

    def chunks(self) -> AsyncIterator[pb.GenerateChunk]:
        """The messages that carry text or tool calls, as they come through the steps.

        Raises:
            ExpertFailed: the expert broke; the answer is incomplete.
            DeadlineExceeded: the deadline passed; likewise.
            AnswerInvalid: it is complete, and breaks the strict form that was asked for.
        """
        return self._through_steps() if self._steps else self._read()

    async def _through_steps(self) -> AsyncIterator[pb.GenerateChunk]:
        request, record = self._request, self._record
        async for chunk in self._steps.present(self._read(all_of_them=True), request, record, self._source.wake):
            if chunk.text or chunk.tool_calls or chunk.logprobs:
                yield chunk
        self.end = replace(self.end, completion=self._steps.conclude(self.end.completion, request, record))

    async def _read(self, *, all_of_them: bool = False) -> AsyncIterator[pb.GenerateChunk]:
        """The expert's own messages; those in the middle that say nothing are for the steps alone."""
        is_last = False
        while not is_last:
            chunk = await self._source.read()
            self._record.tokens(chunk)
            is_last = chunk.HasField("completion")
            if chunk.text or chunk.tool_calls or chunk.logprobs or (all_of_them and not is_last):
                yield chunk
        cost_usd = self._record.completed(chunk.completion)
        self.end = End(chunk.completion, cost_usd, self._record.ttft_s)
        await self._allowance.settle()
        check_answer(self._request, chunk.completion)
