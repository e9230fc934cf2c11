"""The gateway's end of `moegate.expert.v1`: connections to Ray Serve's gRPC ingress, and calls over them.

`serve.dispatch` opens calls here and decides what becomes of them. This is the only module that sees an expert's gRPC
status: it gives each its place among our errors. A status's details stay here, because Ray puts tracebacks and
addresses into them.
"""

import asyncio
from itertools import cycle
from typing import Final

import grpc
import grpc.aio

from protos import expert_pb2 as pb
from protos.expert_pb2_grpc import ExpertStub
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
from serve.patience import Patience

_CHANNEL_OPTIONS: Final = [
    ("grpc.use_local_subchannel_pool", 1),  # each channel its own connection
    ("grpc.enable_retries", 0),  # retries are decided by dispatch
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),  # an ingress that comes back is found within a second
    ("grpc.max_receive_message_length", 64 * 2**20),
    ("grpc.max_send_message_length", 64 * 2**20),
]
RawCall = grpc.aio.UnaryStreamCall[pb.GenerateRequest, pb.GenerateChunk]
_CONTEXT_SLUG: Final = "context_length_exceeded"
_FORMAT_SLUG: Final = "unsupported_response_format"


class ExpertCall:
    """A call of `Generate`.

    Attributes:
        patience: how long a message may be waited for.
    """

    def __init__(self, call: RawCall, *, accept_within_s: float, patience_s: float) -> None:
        self._call = call
        self._patience_s = patience_s
        self._has_begun = False
        self.patience = Patience(accept_within_s, call.cancel)

    async def first(self) -> pb.GenerateChunk:
        """Read up to the first message that carries tokens or the end: from there on the expert has answered.

        The first message of all is empty: a replica has taken the request on. While an expert has no replica, Ray
        Serve's ingress holds its calls back in silence until there is one again.

        Raises:
            MoegateError: nothing was generated.
        """
        chunk = await self.read()
        self.patience.limit_s = self._patience_s
        while not (chunk.token_count or chunk.HasField("completion")):
            chunk = await self.read()
        self._has_begun = True
        return chunk

    async def read(self) -> pb.GenerateChunk:
        """The next message; the last one carries `completion`, none may be asked for after it.

        Raises:
            MoegateError: the expert refused, broke, fell silent, or the deadline passed.
        """
        self.patience.wait()
        try:
            chunk = await self._call.read()
        except grpc.aio.AioRpcError as error:
            raise self._broken(error) from None
        except asyncio.CancelledError:
            if self.patience.is_over:
                raise self._silent() from None
            raise
        self.patience.heard()
        if isinstance(chunk, pb.GenerateChunk):
            return chunk
        if self._has_begun:
            raise ExpertFailed("the expert ended the stream before the answer was complete")
        raise ExpertUnavailable("the expert ended the stream without an answer")

    def close(self) -> None:
        """End the call, and with it the expert's work; a call that has ended stays as it is."""
        self.patience.stop()
        self._call.cancel()

    def _broken(self, error: grpc.aio.AioRpcError) -> MoegateError:
        if self._has_begun and error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
            return ExpertFailed("the expert failed before the answer was complete")
        return translate(error)

    def _silent(self) -> MoegateError:
        if self._has_begun:
            return ExpertStalled("the expert stopped sending before the answer was complete")
        return ExpertUnavailable("the expert did not take the request on")


class ExpertChannels:
    """Connections to the ingress, taken in turn."""

    def __init__(self, target: str, count: int) -> None:
        self._channels = [grpc.aio.insecure_channel(target, options=_CHANNEL_OPTIONS) for _ in range(count)]
        self._stubs = cycle([ExpertStub(channel) for channel in self._channels])

    def generate(
        self, expert: str, message: pb.GenerateRequest, *, timeout_s: float, accept_within_s: float, patience_s: float
    ) -> ExpertCall:
        """Open a call; it reads nothing yet.

        Args:
            expert: the application's name.
            message: what is asked.
            timeout_s: seconds left to the request.
            accept_within_s: how long a replica has to take it on, seconds; at most `patience_s`.
            patience_s: how long each later message may be waited for, seconds.
        """
        timeout_s = max(timeout_s, 0.001)
        metadata = (
            ("application", expert),
            ("request_id", message.request_id),
            ("x-request-timeout-ms", str(max(1, int(timeout_s * 1000)))),  # Ray hides gRPC's deadline from a replica
        )
        call = next(self._stubs).Generate(message, timeout=timeout_s, metadata=metadata)
        return ExpertCall(call, accept_within_s=accept_within_s, patience_s=patience_s)

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
            raise translate(error) from None

    async def close(self) -> None:
        """Close the connections; calls still open are cancelled."""
        for channel in self._channels:
            await channel.close()


def translate(error: grpc.aio.AioRpcError) -> MoegateError:
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
