"""Carries a decision out: opens a stream to an expert through Ray Serve's gRPC ingress, and falls back.

Until the first token has come, a failure that is not the caller's moves the request to the next expert of the
ranking; after it, never. A failure's details stay here: Ray puts tracebacks and addresses into them.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import cycle
from typing import Final

import grpc
import grpc.aio

from experts.catalog import Catalog
from protos import expert_pb2 as pb
from protos.expert_pb2_grpc import ExpertStub
from router.decision import Reason, RouteDecision
from serve.errors import (
    ContextLengthExceeded,
    DeadlineExceeded,
    ExpertFailed,
    ExpertUnavailable,
    InvalidRequest,
    MoegateError,
    Overloaded,
    UnsupportedParameter,
)
from serve.request import ChatRequest
from serve.settings import ExpertsSettings

_CHANNEL_OPTIONS: Final = [
    ("grpc.use_local_subchannel_pool", 1),  # each channel its own connection
    ("grpc.enable_retries", 0),  # retries are decided here
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),  # an ingress that comes back is found within a second
    ("grpc.max_receive_message_length", 64 * 2**20),
    ("grpc.max_send_message_length", 64 * 2**20),
]
_CONTEXT_SLUG: Final = "context_length_exceeded"
_FORMAT_SLUG: Final = "unsupported_response_format"

Call = grpc.aio.UnaryStreamCall[pb.GenerateRequest, pb.GenerateChunk]
OnFallback = Callable[[str, str], None]


class ExpertStream:
    """An open stream whose first token has come.

    Attributes:
        decision: the decision as carried out: its first expert is the one that answers.
        ttft_s: seconds from asking that expert to its first token.
    """

    def __init__(self, decision: RouteDecision, first: pb.GenerateChunk, call: Call, ttft_s: float) -> None:
        self.decision = decision
        self.ttft_s = ttft_s
        self._first: pb.GenerateChunk | None = first
        self._call = call

    async def read(self) -> pb.GenerateChunk:
        """The expert's next message; the last one carries `completion`, none may be asked for after it.

        Raises:
            ExpertFailed: the expert broke.
            DeadlineExceeded: the deadline passed.
        """
        if self._first is not None:
            first, self._first = self._first, None
            return first
        try:
            chunk = await self._call.read()
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                raise _translate(error) from None
            raise ExpertFailed("the expert failed before the answer was complete") from None
        if isinstance(chunk, pb.GenerateChunk):
            return chunk
        raise ExpertFailed("the expert ended the stream before the answer was complete")


class Dispatcher:
    """Speaks to the experts, all of them behind one ingress.

    Attributes:
        in_flight: streams open, or being opened, by expert.
    """

    def __init__(
        self, catalog: Catalog, settings: ExpertsSettings, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._catalog = catalog
        self._clock = clock
        self._accept_timeout_s = settings.accept_timeout_s
        self.in_flight: Counter[str] = Counter()
        self._channels = [
            grpc.aio.insecure_channel(settings.target, options=_CHANNEL_OPTIONS) for _ in range(settings.channels)
        ]
        self._stubs = cycle([ExpertStub(channel) for channel in self._channels])

    async def close(self) -> None:
        """Close the connections; streams still open are cancelled."""
        for channel in self._channels:
            await channel.close()

    async def describe(self, expert: str, *, timeout_s: float) -> pb.DescribeResponse:
        """Ask an expert how it is.

        Raises:
            MoegateError: it did not say.
        """
        try:
            return await next(self._stubs).Describe(
                pb.DescribeRequest(), timeout=timeout_s, metadata=(("application", expert),)
            )
        except grpc.aio.AioRpcError as error:
            raise _translate(error) from None

    @asynccontextmanager
    async def dispatch(
        self,
        request: ChatRequest,
        decision: RouteDecision,
        on_fallback: OnFallback,
        *,
        traceparent: str | None = None,
    ) -> AsyncIterator[ExpertStream]:
        """Hold open a stream to the first expert of the ranking that gives a first token.

        Leaving the `with`, however, ends the stream at the expert and frees its batch slot.

        Raises:
            MoegateError: nobody gave a first token; the error is the last expert's.
        """
        message = _generate_request(request)
        for i, expert in enumerate(experts := _candidates(decision)):
            started = self._clock()
            call = self._call(expert, message, request, traceparent)
            self.in_flight[expert] += 1
            try:
                if i + 1 < len(experts):  # the last one is waited for: there is nobody else
                    await _accepted(call, self._accept_timeout_s)
                first = await _first_token(call)
            except MoegateError as error:
                if not self._may_fall_back(error, expert, experts[i + 1 :]):
                    raise
                on_fallback(expert, experts[i + 1])
            else:
                made = decision if i == 0 else decision.fallback_to(i)
                yield ExpertStream(made, first, call, self._clock() - started)
                return
            finally:
                self.in_flight[expert] -= 1
                call.cancel()

    def _call(self, expert: str, message: pb.GenerateRequest, request: ChatRequest, traceparent: str | None) -> Call:
        timeout_s = request.deadline - self._clock()
        metadata = (
            ("application", expert),
            ("request_id", request.request_id),
            ("x-request-timeout-ms", str(max(1, int(timeout_s * 1000)))),  # Ray hides gRPC's deadline from a replica
            *((("traceparent", traceparent),) if traceparent else ()),
        )
        return next(self._stubs).Generate(message, timeout=max(timeout_s, 0.001), metadata=metadata)

    def _may_fall_back(self, error: MoegateError, expert: str, rest: list[str]) -> bool:
        if not rest:
            return False
        if isinstance(error, ContextLengthExceeded):
            return self._window(rest[0]) > self._window(expert)
        return isinstance(error, Overloaded | ExpertUnavailable)

    def _window(self, expert: str) -> int:
        spec = self._catalog.get(expert)
        return spec.context_window if spec else 0


def _generate_request(request: ChatRequest) -> pb.GenerateRequest:
    if isinstance(request.input, str):
        return pb.GenerateRequest(prompt=request.input, sampling=request.sampling, request_id=request.request_id)
    return pb.GenerateRequest(conversation=request.input, sampling=request.sampling, request_id=request.request_id)


def _candidates(decision: RouteDecision) -> list[str]:
    """The experts that may answer, best first. One whom the caller named is not replaced by another."""
    experts = [candidate.expert for candidate in decision.ranking]
    return experts[:1] if decision.reason is Reason.PINNED else experts


async def _accepted(call: Call, timeout_s: float) -> None:
    """Wait for the empty message with which a replica takes a request on.

    While an expert has no replica, Ray Serve's ingress holds its calls back in silence until there is one again.
    """
    try:
        async with asyncio.timeout(timeout_s):
            await _read(call)
    except TimeoutError:
        raise ExpertUnavailable("the expert did not take the request on") from None


async def _first_token(call: Call) -> pb.GenerateChunk:
    """Read up to the first message that carries tokens or the end: from there on the expert has answered."""
    while True:
        chunk = await _read(call)
        if chunk.token_count or chunk.HasField("completion"):
            return chunk


async def _read(call: Call) -> pb.GenerateChunk:
    """The next message before the answer has begun, where any failure is still a status."""
    try:
        chunk = await call.read()
    except grpc.aio.AioRpcError as error:
        raise _translate(error) from None
    if isinstance(chunk, pb.GenerateChunk):
        return chunk
    raise ExpertUnavailable("the expert ended the stream without an answer")


def _translate(error: grpc.aio.AioRpcError) -> MoegateError:
    """Give a status its place among our errors. Its details are read, never passed on."""
    match error.code():
        case grpc.StatusCode.INVALID_ARGUMENT if (error.details() or "").startswith(_CONTEXT_SLUG):
            return ContextLengthExceeded("the prompt is longer than the expert's context window", param="messages")
        case grpc.StatusCode.INVALID_ARGUMENT if (error.details() or "").startswith(_FORMAT_SLUG):
            return UnsupportedParameter("'response_format': the expert cannot keep to one", param="response_format")
        case grpc.StatusCode.INVALID_ARGUMENT:
            return InvalidRequest("the expert refused the request")
        case grpc.StatusCode.RESOURCE_EXHAUSTED:
            return Overloaded("the expert's queue is full; retry later")
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return DeadlineExceeded("the request's deadline passed")
        case _:
            return ExpertUnavailable("the expert cannot be reached; retry later")
