"""The HTTP door's generating endpoints: from OpenAI's wire to the core and back, in plain ASGI.

All errors have OpenAI's form. An unforeseen error is logged by class and place, never with its text.
"""

import logging
import time
from collections.abc import Callable

from starlette.types import Receive, Scope, Send

from serve.doors.collect import collect
from serve.doors.request_builder import Limits, Parts, RequestBuilder
from serve.doors.routing_facts import routing_facts
from serve.errors import InternalError, MoegateError
from serve.gateway import Answer, Gateway
from serve.http_api.asgi import (
    EVENT_STREAM,
    JSON,
    ClientDisconnect,
    ClientGone,
    Header,
    HeaderLookup,
    Reply,
    read_json_body,
)
from serve.http_api.heartbeat import Heartbeat
from serve.openai_api.bodies import ChatCompletionBody, CompletionBody, parse
from serve.openai_api.responses import Dialect, Envelope, Frames
from serve.request import ChatRequest
from serve.settings.tree import Settings
from serve.telemetry.logs import log_fault
from serve.validation.forms import FORM_NAMES

log = logging.getLogger("moegate.http")


class GenerateEndpoint:
    """Answers POST /v1/chat/completions or /v1/completions."""

    def __init__(
        self,
        gateway: Gateway,
        settings: Settings,
        body: type[ChatCompletionBody] | type[CompletionBody],
        dialect: Dialect,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._gateway = gateway
        self._settings = settings
        self._body = body
        self._dialect = dialect
        self._builder = RequestBuilder("http", Limits(settings.timeout_s, gateway.max_tokens_limit), clock=clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        arrival = self._builder.arrive(HeaderLookup(scope), id_prefix=self._dialect.id_prefix)
        reply = Reply(send, [(b"x-request-id", arrival.request_id.encode())])
        try:
            body = parse(self._body, await read_json_body(scope, receive, self._settings.http.max_body_bytes))
            body.refuse_unsupported()
            request = arrival.request(_parts(body), scope["state"]["caller"])
            departure: ClientDisconnect = scope["state"]["departure"]
            with departure.watch():
                await self._answer(request, reply, include_usage=body.include_usage)
        except ClientGone:
            return
        except MoegateError as error:
            await reply.fail(error)
        except Exception as error:  # the door's edge: a fault of ours must still be an answer
            log_fault(log, error, arrival.request_id)
            await reply.fail(InternalError("internal error"))

    async def _answer(self, request: ChatRequest, reply: Reply, *, include_usage: bool) -> None:
        interval_s = self._settings.http.heartbeat_s if request.is_stream else None
        async with Heartbeat(reply, interval_s) as heartbeat, self._gateway.generate(request) as answer:
            await heartbeat.stop()
            envelope = Envelope.begin(request.id, answer.decision.expert, self._dialect)
            if request.is_stream:
                await _stream(reply, answer, Frames(envelope, include_usage=include_usage))
            else:
                await _collect(reply, answer, envelope, has_documents=request.has_documents)


def _parts(body: ChatCompletionBody | CompletionBody) -> Parts:
    return Parts(
        model=body.model or "",
        input=body.to_input(),
        sampling=body.to_sampling(),
        is_stream=bool(body.stream),
        quality_cost=body.quality_cost,
        ttft_target_ms=body.ttft_target_ms,
    )


async def _stream(reply: Reply, answer: Answer, frames: Frames) -> None:
    """Send tokens as they come: tokens that are ready together in one write, a single token at once.

    Nothing was sent before the first token: until then an error has a status. A heartbeat is the exception.
    """
    if not reply.has_begun:
        await reply.begin(200, [*EVENT_STREAM, *_routing_headers(answer)])
    is_open, unsent = False, b""
    async for chunk in answer.chunks():
        opening = b"" if is_open else frames.opening("" if chunk.text else None)
        is_open, unsent = True, unsent + opening + frames.piece(chunk)
        if not answer.is_more_ready:
            await reply.write(unsent)
            unsent = b""
    opening = b"" if is_open else frames.opening("")
    await reply.write(unsent + opening + frames.closing(answer.end.completion, answer.end.cost_usd), is_last=True)


async def _collect(reply: Reply, answer: Answer, envelope: Envelope, *, has_documents: bool) -> None:
    """Send a whole answer: the same stream, collected."""
    whole = await collect(answer, has_documents=has_documents)
    headers = [JSON, *_routing_headers(answer), (b"x-moegate-cost-usd", f"{answer.end.cost_usd:.12f}".encode())]
    if form := FORM_NAMES.get(answer.end.completion.form):
        headers.append((b"x-moegate-form", form.encode()))
    await reply.whole(200, headers, envelope.whole(whole, answer.end.completion, answer.end.cost_usd))


def _routing_headers(answer: Answer) -> list[Header]:
    return [(name.encode(), value.encode()) for name, value in routing_facts(answer)]
