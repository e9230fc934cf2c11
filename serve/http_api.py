"""The HTTP door's generating endpoints: from OpenAI's wire to the core and back, plain ASGI.

Errors of any kind leave in OpenAI's form; what nobody foresaw is logged by class and place, never by its text.
"""

import logging
import math
import re
import secrets
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from starlette.types import Receive, Scope, Send

from serve.asgi import (
    EVENT_STREAM,
    JSON,
    ClientGone,
    Departure,
    Header,
    Reply,
    header,
    read_json_body,
    text_header,
)
from serve.errors import InternalError, InvalidRequest, MoegateError
from serve.forms import FORM_NAMES
from serve.gateway import Answer, Gateway
from serve.logs import log_fault
from serve.openai_response import Dialect, Envelope, Frames
from serve.openai_schema import ChatCompletionBody, CompletionBody, parse
from serve.request import ChatRequest, read_priority
from serve.settings import Settings
from serve.tracing import read_traceparent
from serve.whole import gather
from serve.wishes import read_wishes

log = logging.getLogger("moegate.http")

_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._:\-]{1,128}")


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
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        received_at = self._clock()
        own_id = f"{self._dialect.id_prefix}-{secrets.token_hex(16)}"
        request_id = caller_request_id(scope) or own_id
        reply = Reply(send, [(b"x-request-id", request_id.encode())])
        try:
            raw = await read_json_body(scope, receive, self._settings.http.max_body_bytes)
            body = parse(self._body, raw)
            body.refuse_unsupported()
            request = ChatRequest(
                id=own_id,
                request_id=request_id,
                door="http",
                model=body.model,
                input=body.to_input(),
                sampling=body.to_sampling(),
                is_stream=bool(body.stream),
                received_at=received_at,
                deadline=received_at + timeout_s(scope, self._settings.timeout_s),
                traceparent=read_traceparent(partial(text_header, scope)),
                wishes=read_wishes(
                    partial(text_header, scope), quality_cost=body.quality_cost, ttft_target_ms=body.ttft_target_ms
                ),
                priority=read_priority(partial(text_header, scope)),
                caller=scope["state"]["caller"],
            )
            departure: Departure = scope["state"]["departure"]
            with departure.watch():
                async with self._gateway.generate(request) as answer:
                    envelope = Envelope.begin(own_id, answer.decision.expert, self._dialect)
                    if request.is_stream:
                        await _stream(reply, answer, Frames(envelope, include_usage=body.include_usage))
                    else:
                        await _collect(reply, answer, envelope, has_documents=request.has_documents)
        except ClientGone:
            return
        except MoegateError as error:
            await reply.fail(error)
        except Exception as error:  # the door's edge: a fault of ours must still be an answer
            log_fault(log, error, request_id)
            await reply.fail(InternalError("internal error"))


async def _stream(reply: Reply, answer: Answer, frames: Frames) -> None:
    """Send tokens as they come; what is ready together goes out together, and what is alone waits for nothing.

    Nothing was sent before the first token: until then an error has a status.
    """
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
    """Send the answer whole: the same stream, gathered."""
    whole = await gather(answer, has_documents=has_documents)
    headers = [JSON, *_routing_headers(answer), (b"x-moegate-cost-usd", f"{answer.end.cost_usd:.12f}".encode())]
    if form := FORM_NAMES.get(answer.end.completion.form):
        headers.append((b"x-moegate-form", form.encode()))
    await reply.whole(200, headers, envelope.whole(whole, answer.end.completion, answer.end.cost_usd))


def caller_request_id(scope: Scope) -> str | None:
    """The caller's own name for the request, if it is one that may go into a log."""
    value = header(scope, b"x-request-id")
    return value.decode() if value is not None and _REQUEST_ID.fullmatch(value) else None


def timeout_s(scope: Scope, limit_s: float) -> float:
    """Seconds the caller gives the request (`x-request-timeout-ms`), at most the gateway's own limit.

    Raises:
        InvalidRequest: the header is not a positive number.
    """
    value = header(scope, b"x-request-timeout-ms")
    if value is None:
        return limit_s
    try:
        asked_ms = float(value)
    except ValueError:
        asked_ms = math.nan
    if not asked_ms > 0:
        raise InvalidRequest("'x-request-timeout-ms' must be a positive number", param="x-request-timeout-ms")
    return min(asked_ms / 1000, limit_s)


def _routing_headers(answer: Answer) -> list[Header]:
    decision = answer.decision
    return [
        (b"x-moegate-expert", decision.expert.encode()),
        (b"x-moegate-reason", decision.reason.encode()),
        (b"x-moegate-confidence", f"{decision.confidence:.4f}".encode()),
        (b"x-moegate-ranking", ",".join(f"{c.expert}={c.probability:.4f}" for c in decision.ranking).encode()),
        (b"x-moegate-overhead-ms", f"{answer.overhead_s * 1e3:.3f}".encode()),
        (b"x-moegate-router", decision.router_version.encode()),
        *((name.encode(), value.encode()) for name, value in answer.limit_headers),
    ]
