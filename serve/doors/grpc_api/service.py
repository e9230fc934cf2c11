"""The gRPC door: `moegate.gateway.v1.Gateway`, with reflection and `grpc.health.v1`.

Errors are gRPC statuses; the trailer `x-moegate-error-code` carries our own code.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from protos import gateway_pb2 as pb
from protos.gateway_pb2_grpc import GatewayServicer, add_GatewayServicer_to_server
from serve.access.keys import KeyRing
from serve.access.tls import GrpcCertificate
from serve.doors.collect import collect
from serve.doors.grpc_api.embeddings import embed_message, embedding_request
from serve.doors.grpc_api.errors import abort
from serve.doors.grpc_api.messages import (
    decision_message,
    experts_message,
    read_retrieval,
    read_toolsets,
    summary_message,
)
from serve.doors.grpc_api.reflection import enable_reflection
from serve.doors.request_builder import REQUEST_ID_HEADER, Arrival, Limits, Parts, RequestBuilder
from serve.doors.routing_facts import routing_facts
from serve.embeddings.embedder import Embedder
from serve.errors import InternalError, InvalidRequest, MoegateError, NotFound
from serve.feedback.store import Feedback, FeedbackBook
from serve.gateway import Gateway
from serve.request import ChatRequest
from serve.settings.tree import Settings
from serve.steps.answer import Answer
from serve.telemetry.logs import log_fault
from serve.workers.sockets import address

log = logging.getLogger("moegate.grpc")

SERVICE: Final = "moegate.gateway.v1.Gateway"
_READINESS_S: Final = 0.25  # how often the health service is brought up to date

Context = grpc.aio.ServicerContext[Any, Any]


class GatewayService(GatewayServicer):
    """The service."""

    def __init__(
        self,
        gateway: Gateway,
        feedback: FeedbackBook,
        keys: KeyRing,
        settings: Settings,
        embedder: Embedder | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._gateway = gateway
        self._embedder = embedder
        self._feedback = feedback
        self._keys = keys
        self._builder = RequestBuilder("grpc", Limits(settings.timeout_s, gateway.max_tokens_limit), clock=clock)

    async def Generate(self, message: pb.GenerateRequest, context: Context) -> AsyncIterator[pb.GenerateChunk]:
        """Stream an answer: the decision in the first message, the summary in the last."""
        async with self._arrival(context) as arrival:
            request = self._request(message, context, arrival, is_stream=True)
            async with self._gateway.generate(request) as answer:
                decision = answer.decision
                message_of = partial(pb.GenerateChunk, id=request.id, expert=decision.expert)
                tells_logprobs = answer.tells_logprobs
                await context.send_initial_metadata(_initial_metadata(request, answer))
                yield message_of(decision=decision_message(decision))
                async for chunk in answer.chunks():
                    yield message_of(
                        text=chunk.text,
                        token_count=chunk.token_count,
                        tool_calls=chunk.tool_calls,
                        logprobs=chunk.logprobs if tells_logprobs else None,
                    )
                yield message_of(summary=summary_message(answer))

    async def Complete(self, message: pb.GenerateRequest, context: Context) -> pb.CompleteResponse:
        """Answer whole: the same stream, gathered."""
        async with self._arrival(context) as arrival:
            request = self._request(message, context, arrival, is_stream=False)
            async with self._gateway.generate(request) as answer:
                whole = await collect(answer)
                await context.send_initial_metadata(_initial_metadata(request, answer))
                return pb.CompleteResponse(
                    id=request.id,
                    expert=answer.decision.expert,
                    text=whole.text,
                    tool_calls=whole.tool_calls,
                    logprobs=whole.logprobs,
                    decision=decision_message(answer.decision),
                    summary=summary_message(answer),
                )
        raise AssertionError("unreachable: every failure has aborted the call")

    async def Route(self, message: pb.GenerateRequest, context: Context) -> pb.RouteDecision:
        """Decide, and do no more."""
        async with self._arrival(context) as arrival:
            return decision_message(self._gateway.route(self._request(message, context, arrival, is_stream=False)))

    async def ListExperts(self, message: pb.ListExpertsRequest, context: Context) -> pb.ListExpertsResponse:
        """List the catalogue."""
        async with self._arrival(context) as arrival:
            self._keys.identify(arrival.headers("authorization"))
            return experts_message(self._gateway)

    async def Feedback(self, message: pb.FeedbackRequest, context: Context) -> pb.FeedbackResponse:
        """Take in what somebody thinks of an answer."""
        async with self._arrival(context) as arrival:
            caller = self._keys.identify(arrival.headers("authorization"))
            said = (message.better_expert or None, message.comment or None, message.correction or None)
            opinion = Feedback(message.response_id, message.rating, *said)
            return pb.FeedbackResponse(known=await self._feedback.take(opinion, caller))
        raise AssertionError("unreachable: every failure has aborted the call")

    async def Embed(self, message: pb.EmbedRequest, context: Context) -> pb.EmbedResponse:
        """Turn texts into vectors."""
        async with self._arrival(context) as arrival:
            caller = self._keys.identify(arrival.headers("authorization"))
            if self._embedder is None:
                raise NotFound("this gateway has no encoder")
            remaining_s = context.time_remaining()
            return embed_message(await self._embedder.embed(embedding_request(message, arrival, caller, remaining_s)))
        raise AssertionError("unreachable: every failure has aborted the call")

    def _request(
        self, message: pb.GenerateRequest, context: Context, arrival: Arrival, *, is_stream: bool
    ) -> ChatRequest:
        caller = self._keys.identify(arrival.headers("authorization"))
        kind = message.WhichOneof("input")
        if kind is None:
            raise InvalidRequest("one of 'conversation' and 'prompt' is required", param="input")
        parts = Parts(
            model=message.model,
            input=message.prompt if kind == "prompt" else message.conversation,
            sampling=message.sampling,
            is_stream=is_stream,
            quality_cost=message.quality_cost if message.HasField("quality_cost") else None,
            ttft_target_ms=message.ttft_target_ms if message.HasField("ttft_target_ms") else None,
            previous_expert=message.previous_expert,
            remaining_s=context.time_remaining(),
            retrieval=read_retrieval(message),
            toolsets=read_toolsets(message),
        )
        return arrival.request(parts, caller)

    @asynccontextmanager
    async def _arrival(self, context: Context) -> AsyncIterator[Arrival]:
        """Take a call on, and turn any failure into a status; nothing of a fault's text goes out."""
        headers = _metadata(context).get
        arrival = self._builder.arrive(headers, id_prefix="gen-", owner=self._keys.name_of(headers("authorization")))
        try:
            yield arrival
        except MoegateError as error:
            await abort(context, error, arrival.request_id)
        except grpc.aio.AbortError:
            raise
        except Exception as error:  # the door's edge: a fault of ours must still be a status
            log_fault(log, error, arrival.request_id)
            await abort(context, InternalError("internal error"), arrival.request_id)


class GrpcServer:
    """The door's server: started, drained and stopped by `serve.app`."""

    def __init__(
        self,
        gateway: Gateway,
        feedback: FeedbackBook,
        keys: KeyRing,
        settings: Settings,
        embedder: Embedder | None = None,
        *,
        is_shared: bool = False,
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
        self._certificate = GrpcCertificate(settings.tls)
        self._health = health.aio.HealthServicer()
        add_GatewayServicer_to_server(GatewayService(gateway, feedback, keys, settings, embedder), self._server)
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
            if (credentials := self._certificate.credentials) is None:
                port = self._server.add_insecure_port(self._address)
            else:
                port = self._server.add_secure_port(self._address, credentials)
        except RuntimeError:
            raise OSError(f"cannot listen on {self._address} for gRPC: is the port taken?") from None
        await self._server.start()
        return address(self._host, port)

    def show_certificate(self) -> None:
        """Show the certificate that the files hold now to whoever connects from here on."""
        self._certificate.renew()

    async def set_serving(self, is_serving: bool) -> None:
        """Tell `grpc.health.v1` clients whether to send requests; both the service and the whole server."""
        status = health_pb2.HealthCheckResponse.SERVING if is_serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in ("", SERVICE):
            await self._health.set(name, status)

    async def follow(self, is_ready: Callable[[], bool]) -> None:
        """Tell `grpc.health.v1` what `/ready` says, whenever it changes, until this is cancelled."""
        told = None
        while True:
            if told is not (said := is_ready()):
                told = said
                await self.set_serving(told)
            await asyncio.sleep(_READINESS_S)

    async def stop(self, grace_s: float) -> None:
        """Refuse new calls, let open ones finish for `grace_s` seconds, then cancel them."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace_s)


def _metadata(context: Context) -> dict[str, str]:
    """The caller's metadata that is text; the first value of each name."""
    pairs = reversed(tuple(context.invocation_metadata() or ()))
    return {key: value for key, value in pairs if isinstance(value, str)}


def _initial_metadata(request: ChatRequest, answer: Answer) -> tuple[tuple[str, str], ...]:
    """What a call is told before its first message, as HTTP's headers have it."""
    return ((REQUEST_ID_HEADER, request.request_id), *routing_facts(answer))
