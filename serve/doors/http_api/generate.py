"""The HTTP doors that generate: from an API's wire to the core and back, in plain ASGI, the same for every wire form.

An unforeseen error is logged by class and place, never with its text.
"""

import logging
import time
from collections.abc import Callable

from starlette.types import Receive, Scope, Send

from serve.doors.collect import collect
from serve.doors.field_names import SAME_NAMES
from serve.doors.http_api.answer_headers import cost_header, routing_headers
from serve.doors.http_api.asgi import (
    EVENT_STREAM,
    JSON,
    ClientDisconnect,
    ClientGone,
    HeaderLookup,
    Reply,
    read_json_body,
)
from serve.doors.http_api.choices import answer_choices
from serve.doors.http_api.heartbeat import Heartbeat
from serve.doors.request_builder import Limits, RequestBuilder
from serve.doors.wire_form import Asked, Presenter, WireForm
from serve.errors import InternalError, MoegateError
from serve.gateway import Gateway
from serve.request import Caller, ChatRequest
from serve.settings.tree import Settings
from serve.steps.answer import Answer
from serve.telemetry.logs import log_fault
from serve.validation.forms import FORM_NAMES

log = logging.getLogger("moegate.http")


class GenerateEndpoint:
    """Answers POST on the path of one wire form."""

    def __init__(
        self, gateway: Gateway, settings: Settings, form: WireForm, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._gateway = gateway
        self._settings = settings
        self._form = form
        self._builder = RequestBuilder(form.door, Limits(settings.timeout_s, gateway.max_tokens_limit), clock=clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        form, names = self._form, SAME_NAMES
        caller: Caller = scope["state"]["caller"]
        arrival = self._builder.arrive(HeaderLookup(scope), id_prefix=form.id_prefix, owner=caller.name)
        request_id = arrival.request_id.encode()
        reply = Reply(send, [(name, request_id) for name in form.id_headers], form.errors)
        try:
            raw = await read_json_body(scope, receive, self._settings.http.max_body_bytes)
            asked = await form.read(raw, arrival.headers, caller)
            names = asked.names
            request = arrival.request(asked.parts, caller)
            departure: ClientDisconnect = scope["state"]["departure"]
            with departure.watch():
                if asked.choices is None:
                    await self._answer(request, reply, asked)
                else:
                    further = [arrival.further(n, parts, caller) for n, parts in enumerate(asked.choices.further, 2)]
                    await answer_choices(self._gateway, [request, *further], asked.choices, reply)
        except ClientGone:
            return
        except MoegateError as error:
            await reply.fail(names.told(error))
        except Exception as error:  # the door's edge: a fault of ours must still be an answer
            log_fault(log, error, arrival.request_id)
            await reply.fail(InternalError("internal error"))

    async def _answer(self, request: ChatRequest, reply: Reply, asked: Asked) -> None:
        if not request.is_stream:
            async with self._gateway.generate(request) as answer:
                presenter = asked.present(request, answer)
                await _collect(reply, answer, presenter)
            return
        interval_s = self._settings.http.heartbeat_s
        async with Heartbeat(reply, interval_s) as heartbeat, self._gateway.generate(request) as answer:
            await heartbeat.stop()
            await _stream(reply, answer, asked.present(request, answer))


async def _stream(reply: Reply, answer: Answer, presenter: Presenter) -> None:
    """Send tokens as they come: tokens that are ready together in one write, a single token at once.

    Nothing was sent before the first token: until then an error has a status. A heartbeat is the exception.
    """
    if not reply.has_begun:
        await reply.begin(200, [*EVENT_STREAM, *routing_headers(answer)])
    reply.on_failure(presenter.failed)
    unsent = b""
    try:
        async for chunk in answer.chunks():
            unsent += presenter.piece(chunk)
            if not answer.is_more_ready:
                await reply.write(unsent)
                unsent = b""
        closing = await presenter.closing(answer.end)
    except MoegateError:  # what was said before it is told before it
        await reply.write(unsent)
        raise
    await reply.write(unsent + closing, is_last=True)


async def _collect(reply: Reply, answer: Answer, presenter: Presenter) -> None:
    """Send a whole answer: the same stream, collected."""
    whole = await collect(answer)
    headers = [JSON, *routing_headers(answer), cost_header(answer.end.cost_usd)]
    if form := FORM_NAMES.get(answer.end.completion.form):
        headers.append((b"x-moegate-form", form.encode()))
    await reply.whole(200, headers, await presenter.whole(whole, answer.end))
