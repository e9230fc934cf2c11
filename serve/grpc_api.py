"""The gRPC door: `moegate.gateway.v1.Gateway`, beside reflection and `grpc.health.v1`.

Errors are gRPC status codes; the code of our own error table rides in the trailer `x-moegate-error-code`.
"""

import logging
import re
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from protos import gateway_pb2 as pb
from protos.gateway_pb2_grpc import GatewayServicer, add_GatewayServicer_to_server
from serve.errors import InternalError, InvalidRequest, MoegateError
from serve.feedback import Feedback, FeedbackBook
from serve.gateway import Answer, Gateway
from serve.grpc_errors import abort
from serve.grpc_reflection import enable_reflection
from serve.keys import KeyRing
from serve.listening import address
from serve.logs import log_fault
from serve.proto_schema import decision_message, experts_message, summary_message
from serve.request import ChatRequest, read_priority
from serve.settings import Settings
from serve.tls import grpc_credentials
from serve.tracing import read_traceparent
from serve.whole import gather
from serve.wishes import read_wishes

log = logging.getLogger("moegate.grpc")

SERVICE: Final = "moegate.gateway.v1.Gateway"
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:\-]{1,128}")

Context = grpc.aio.ServicerContext[Any, Any]


class GatewayService(GatewayServicer):
    """The service."""

    def __init__(
        self,
        gateway: Gateway,
        feedback: FeedbackBook,
        keys: KeyRing,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._gateway = gateway
        self._feedback = feedback
        self._keys = keys
        self._settings = settings
        self._clock = clock

    async def Generate(self, message: pb.GenerateRequest, context: Context) -> AsyncIterator[pb.GenerateChunk]:
        """Stream an answer: the decision in the first message, the summary in the last."""
        async with _errors_as_status(context):
            request = self._request(message, context, is_stream=True)
            async with self._gateway.generate(request) as answer:
                decision = answer.decision
                message_of = partial(pb.GenerateChunk, id=request.id, expert=decision.expert)
                await context.send_initial_metadata(_routing_metadata(request, answer))
                yield message_of(decision=decision_message(decision))
                async for chunk in answer.chunks():
                    yield message_of(text=chunk.text, token_count=chunk.token_count, tool_calls=chunk.tool_calls)
                yield message_of(summary=summary_message(answer))

    async def Complete(self, message: pb.GenerateRequest, context: Context) -> pb.CompleteResponse:
        """Answer whole: the same stream, gathered."""
        async with _errors_as_status(context):
            request = self._request(message, context, is_stream=False)
            async with self._gateway.generate(request) as answer:
                whole = await gather(answer, has_documents=request.has_documents)
                await context.send_initial_metadata(_routing_metadata(request, answer))
                return pb.CompleteResponse(
                    id=request.id,
                    expert=answer.decision.expert,
                    text=whole.text,
                    tool_calls=whole.tool_calls,
                    decision=decision_message(answer.decision),
                    summary=summary_message(answer),
                )
        raise AssertionError("unreachable: every failure has aborted the call")

    async def Route(self, message: pb.GenerateRequest, context: Context) -> pb.RouteDecision:
        """Decide, and do no more."""
        async with _errors_as_status(context):
            return decision_message(self._gateway.route(self._request(message, context, is_stream=False)))

    async def ListExperts(self, message: pb.ListExpertsRequest, context: Context) -> pb.ListExpertsResponse:
        """List the catalogue."""
        async with _errors_as_status(context):
            self._keys.identify(_metadata(context, "authorization"))
            return experts_message(self._gateway)

    async def Feedback(self, message: pb.FeedbackRequest, context: Context) -> pb.FeedbackResponse:
        """Take in what somebody thinks of an answer."""
        async with _errors_as_status(context):
            self._keys.identify(_metadata(context, "authorization"))
            opinion = Feedback(
                message.response_id, message.rating, message.better_expert or None, message.comment or None
            )
            return pb.FeedbackResponse(known=await self._feedback.take(opinion))
        raise AssertionError("unreachable: every failure has aborted the call")

    def _request(self, message: pb.GenerateRequest, context: Context, *, is_stream: bool) -> ChatRequest:
        now = self._clock()
        caller = self._keys.identify(_metadata(context, "authorization"))
        own_id = f"gen-{uuid.uuid4().hex}"
        remaining_s = context.time_remaining()
        limit_s = self._settings.timeout_s
        kind = message.WhichOneof("input")
        if kind is None:
            raise InvalidRequest("one of 'conversation' and 'prompt' is required", param="input")
        return ChatRequest(
            id=own_id,
            request_id=_caller_request_id(context) or own_id,
            door="grpc",
            model=message.model,
            input=message.prompt if kind == "prompt" else message.conversation,
            sampling=message.sampling,
            is_stream=is_stream,
            received_at=now,
            deadline=now + (limit_s if remaining_s is None else min(remaining_s, limit_s)),
            traceparent=read_traceparent(partial(_metadata, context)),
            wishes=read_wishes(
                partial(_metadata, context),
                quality_cost=message.quality_cost if message.HasField("quality_cost") else None,
                ttft_target_ms=message.ttft_target_ms if message.HasField("ttft_target_ms") else None,
                previous_expert=message.previous_expert,
            ),
            priority=read_priority(partial(_metadata, context)),
            caller=caller,
        )


class GrpcServer:
    """The door's server: started, drained and stopped by `serve.app`."""

    def __init__(
        self, gateway: Gateway, feedback: FeedbackBook, keys: KeyRing, settings: Settings, *, is_shared: bool = False
    ) -> None:
        bounds = settings.grpc
        self._server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", bounds.max_message_bytes),
                ("grpc.max_metadata_size", bounds.max_metadata_bytes),
                ("grpc.absolute_max_metadata_size", 2 * bounds.max_metadata_bytes),
                ("grpc.max_concurrent_streams", bounds.max_streams),
                ("grpc.so_reuseport", int(is_shared)),
                # gRPC answers more than two pings within five minutes without a message with GOAWAY by default, and
                # kills a call that waits for its first token: https://grpc.io/docs/guides/keepalive/
                ("grpc.keepalive_permit_without_calls", 1),
                ("grpc.http2.min_ping_interval_without_data_ms", int(bounds.min_ping_interval_s * 1000)),
            ],
        )
        self._credentials = grpc_credentials(settings.tls)
        self._health = health.aio.HealthServicer()
        add_GatewayServicer_to_server(GatewayService(gateway, feedback, keys, settings), self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        enable_reflection((SERVICE, health.SERVICE_NAME), self._server)
        self._address = address(settings.grpc.host, settings.grpc.port)
        self._host = settings.grpc.host

    async def start(self) -> str:
        """Listen. Returns the address, `host:port`.

        Raises:
            OSError: the port is taken.
        """
        try:
            if self._credentials is None:
                port = self._server.add_insecure_port(self._address)
            else:
                port = self._server.add_secure_port(self._address, self._credentials)
        except RuntimeError:
            raise OSError(f"cannot listen on {self._address} for gRPC: is the port taken?") from None
        await self._server.start()
        return address(self._host, port)

    async def set_serving(self, is_serving: bool) -> None:
        """Tell `grpc.health.v1` clients whether to send requests; both the service and the whole server."""
        status = health_pb2.HealthCheckResponse.SERVING if is_serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in ("", SERVICE):
            await self._health.set(name, status)

    async def stop(self, grace_s: float) -> None:
        """Refuse new calls, let open ones finish for `grace_s` seconds, then cancel them."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace_s)


@asynccontextmanager
async def _errors_as_status(context: Context) -> AsyncIterator[None]:
    """Turn any failure into a status; nothing of a fault's text goes out."""
    try:
        yield
    except MoegateError as error:
        await abort(context, error)
    except grpc.aio.AbortError:
        raise
    except Exception as error:  # the door's edge: a fault of ours must still be a status
        log_fault(log, error)
        await abort(context, InternalError("internal error"))


def _caller_request_id(context: Context) -> str | None:
    value = _metadata(context, "x-request-id")
    return value if value is not None and _REQUEST_ID.fullmatch(value) else None


def _metadata(context: Context, name: str) -> str | None:
    """The caller's metadata of that name, if it is text."""
    pairs = context.invocation_metadata() or ()
    return next((value for key, value in pairs if key == name and isinstance(value, str)), None)


def _routing_metadata(request: ChatRequest, answer: Answer) -> tuple[tuple[str, str], ...]:
    """The routing facts as HTTP's headers have them, as initial metadata."""
    decision = answer.decision
    return (
        ("x-request-id", request.request_id),
        ("x-moegate-expert", decision.expert),
        ("x-moegate-reason", decision.reason.value),
        ("x-moegate-confidence", f"{decision.confidence:.4f}"),
        ("x-moegate-overhead-ms", f"{answer.overhead_s * 1e3:.3f}"),
        ("x-moegate-router", decision.router_version),
        *answer.rate_headers,
    )
