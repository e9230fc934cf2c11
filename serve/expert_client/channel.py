"""The gateway's side of `moegate.expert.v1`: connections to Ray Serve's gRPC ingress, and calls over them.

`serve.dispatch.dispatcher` opens calls here and decides what follows from them. Only this module sees an expert's gRPC
status, and translates it into our errors. A status's details stay here, because Ray puts tracebacks and addresses
into them.
"""

import logging
import re
import time
from collections.abc import Callable
from typing import Final

from grpc import StatusCode

from experts.catalog.secret import METADATA_KEY
from protos import expert_pb2 as pb
from serve.costs.tariffs import Work
from serve.errors import (
    ContextLengthExceeded,
    DeadlineExceeded,
    ExpertFailed,
    ExpertStalled,
    ExpertUnavailable,
    InvalidRequest,
    MoegateError,
    Overloaded,
    UnsupportedParameter,
)
from serve.expert_client.h2.call import Call, CallError
from serve.expert_client.h2.frames import header, request_head, secret_header
from serve.expert_client.h2.pool import Pool
from serve.expert_client.idle_timeout import IdleTimeout
from serve.expert_client.unary import ask, milliseconds

log = logging.getLogger("moegate.expert_channel")

_CONTEXT_SLUG: Final = "context_length_exceeded"
_FORMAT_SLUG: Final = "unsupported_response_format"
_NO_ROOM: Final = re.compile(r"window of (\d+) tokens: it has (\d+)")  # `experts.engine.no_room`
_DEAD_SLUG: Final = "engine_dead"
_FAILURES: Final = frozenset({StatusCode.INTERNAL, StatusCode.UNKNOWN, StatusCode.DATA_LOSS})
_SERVICE: Final = "/moegate.expert.v1.Expert/"
_CONNECT_S: Final = 1.0


class ExpertCall:
    """A call of `Generate`.

    Attributes:
        patience: how long a message may be waited for.
        is_taken_on: a replica has said so.
        is_told: the call ended because the replica said that it failed on the request; it was not lost on the way.
        begun_at: when the expert told how long the prompt is, having begun on it; seconds, 0 before.
    """

    def __init__(
        self, call: Call[pb.GenerateChunk], *, accept_within_s: float, patience_s: float, clock: Callable[[], float]
    ) -> None:
        self._call = call
        self._patience_s = patience_s
        self._clock = clock
        self._has_begun = self._is_woken = False
        self._prompt_tokens = self._completion_tokens = 0
        self.is_taken_on = self.is_told = False
        self.begun_at = 0.0
        self.patience = IdleTimeout(accept_within_s, call.cancel)

    @property
    def is_ready(self) -> bool:
        """Whether a message can be read without waiting."""
        return self._call.is_ready

    @property
    def work(self) -> Work:
        """The work that the expert has reported up to its first token, with the slot's time until now."""
        slot_s = self._clock() - self.begun_at if self._prompt_tokens else 0.0
        return Work(self._prompt_tokens, self._completion_tokens, slot_s)

    async def first(self) -> pb.GenerateChunk:
        """Read up to the first message that carries tokens or the end: from there on the expert has answered.

        The first message of all is empty: a replica has taken the request on. While an expert has no replica, Ray
        Serve's ingress holds its calls back in silence until there is one again. While the request waits for a slot or
        is prefilled, an engine at work sends an empty message now and then: it is busy, not silent. How long the prompt
        is may be told before the first token; the message returned says it in any case.

        Raises:
            MoegateError: nothing was generated.
        """
        chunk = await self.read()
        self.is_taken_on = True
        self.patience.limit_s = self._patience_s
        self._note(chunk)
        while not (chunk.token_count or chunk.HasField("completion")):
            chunk = await self.read()
            self._note(chunk)
        self._has_begun = True
        self._completion_tokens, chunk.prompt_tokens = chunk.token_count, self._prompt_tokens
        return chunk

    async def read(self) -> pb.GenerateChunk:
        """The next message, empty after `wake`. The last one carries `completion`; do not read after it.

        Raises:
            MoegateError: the expert refused, broke, fell silent, or the deadline passed.
        """
        self.patience.wait()
        try:
            chunk = await self._call.read()
        except CallError as error:
            self.is_told = error.status in _FAILURES or error.details.startswith(_DEAD_SLUG)
            raise (self._silent() if self.patience.is_over else self._broken(error)) from None
        self.patience.heard()
        if chunk is not None:
            return chunk
        if self._is_woken:
            self._is_woken = False
            return pb.GenerateChunk()
        if self._has_begun:
            raise ExpertFailed("the expert ended the stream before the answer was complete")
        raise ExpertUnavailable("the expert ended the stream without an answer")

    def wake(self) -> None:
        """Have the read that waits, or the next one that would, return an empty message."""
        self._is_woken = True
        self._call.wake()

    def close(self) -> None:
        """End the call, and with it the expert's work; a call that has ended stays as it is."""
        self.patience.stop()
        self._call.cancel()

    def _note(self, chunk: pb.GenerateChunk) -> None:
        if chunk.prompt_tokens and not self._prompt_tokens:
            self._prompt_tokens, self.begun_at = chunk.prompt_tokens, self._clock()

    def _broken(self, error: CallError) -> MoegateError:
        if self._has_begun and error.status is not StatusCode.DEADLINE_EXCEEDED:
            return ExpertFailed("the expert failed before the answer was complete")
        return translate(error)

    def _silent(self) -> MoegateError:
        if self._has_begun:
            return ExpertStalled("the expert stopped sending before the answer was complete")
        if self.is_taken_on:
            return ExpertUnavailable("the expert fell silent before its first token")
        return ExpertUnavailable("the expert did not take the request on")


class ExpertChannels:
    """Connections to the ingress, taken in turn."""

    def __init__(
        self, target: str, count: int, *, secret: str | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        host, _, port = target.rpartition(":")
        self._pool = Pool(host.strip("[]"), int(port), size=count, connect_within_s=_CONNECT_S)
        shown = secret_header(METADATA_KEY.encode(), secret.encode()) if secret else b""
        self._is_refused = False
        self._generate = request_head(f"{_SERVICE}Generate", target) + shown
        self._describe = request_head(f"{_SERVICE}Describe", target) + shown

    async def generate(
        self,
        expert: str,
        message: pb.GenerateRequest,
        *,
        timeout_s: float,
        accept_within_s: float,
        patience_s: float,
        traceparent: str | None = None,
    ) -> ExpertCall:
        """Open a call; it reads nothing yet.

        Args:
            expert: the application's name.
            message: what is asked.
            timeout_s: seconds left to the request.
            accept_within_s: how long a replica has to take it on, seconds; at most `patience_s`.
            patience_s: how long each later message may be waited for, seconds.
            traceparent: the trace that the expert's work belongs to (W3C).

        Raises:
            ExpertUnavailable: there is no connection.
        """
        timeout_s = max(timeout_s, 0.001)
        head = (
            self._generate
            + _metadata(expert, timeout_s)
            + header(b"request_id", message.request_id.encode())
            + header(b"x-request-timeout-ms", milliseconds(timeout_s))  # Ray hides gRPC's deadline from a replica
            + (header(b"traceparent", traceparent.encode()) if traceparent else b"")
        )
        try:
            connection = await self._pool.take()
        except OSError:
            raise ExpertUnavailable("the expert cannot be reached; retry later") from None
        parse = pb.GenerateChunk.FromString
        call = connection.call(head, message.SerializeToString(), parse, timeout_s=timeout_s)
        return ExpertCall(call, accept_within_s=accept_within_s, patience_s=patience_s, clock=self._clock)

    async def describe(self, expert: str, *, timeout_s: float) -> pb.DescribeResponse:
        """Probe an expert.

        Raises:
            MoegateError: it did not say.
        """
        head = self._describe + _metadata(expert, timeout_s)
        try:
            answer = await ask(self._pool, head, b"", pb.DescribeResponse.FromString, timeout_s=timeout_s)
        except CallError as error:
            self._note_refusal(error)
            raise translate(error) from None
        if answer is None:
            raise ExpertUnavailable("the expert cannot be reached; retry later")
        return answer

    def _note_refusal(self, error: CallError) -> None:
        """Log once that the secret is wrong: clients and the log of probes see only a dead expert."""
        if error.status is StatusCode.UNAUTHENTICATED and not self._is_refused:
            self._is_refused = True
            log.error("the experts do not accept this gateway's secret; is MOEGATE_EXPERTS__SECRET theirs?")

    async def close(self) -> None:
        """Close the connections; calls still open are cancelled."""
        self._pool.close()


def _metadata(expert: str, timeout_s: float) -> bytes:
    return header(b"grpc-timeout", milliseconds(timeout_s) + b"m") + header(b"application", expert.encode())


_OTHERS: Final[dict[StatusCode, tuple[type[MoegateError], str]]] = {
    StatusCode.RESOURCE_EXHAUSTED: (Overloaded, "the expert's queue is full; retry later"),
    StatusCode.DEADLINE_EXCEEDED: (DeadlineExceeded, "the request's deadline passed"),
    **dict.fromkeys(_FAILURES, (ExpertFailed, "the expert failed on this request")),
}


def translate(error: CallError) -> MoegateError:
    """Translate a status into one of our errors. Its details are read, never passed on."""
    match error.status:
        case StatusCode.INVALID_ARGUMENT if error.details.startswith(_CONTEXT_SLUG):
            return ContextLengthExceeded(_too_long(error.details), param="messages")
        case StatusCode.INVALID_ARGUMENT if error.details.startswith(_FORMAT_SLUG):
            return UnsupportedParameter("'response_format': the expert cannot keep to one", param="response_format")
        case StatusCode.INVALID_ARGUMENT:
            return InvalidRequest("the expert refused the request")
    kind, message = _OTHERS.get(error.status, (ExpertUnavailable, "the expert cannot be reached; retry later"))
    return kind(message)


def _too_long(details: str) -> str:
    """Say it in OpenAI's words, by which clients and other gateways know the error and read the numbers."""
    numbers = _NO_ROOM.search(details)
    limit = "less than your messages need"
    if numbers:
        limit = f"{numbers[1]} tokens. However, your messages resulted in {numbers[2]} tokens"
    return f"This model's maximum context length is {limit}. Please reduce the length of the messages."
