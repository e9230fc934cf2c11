"""The HTTP door: the generating endpoints, the lists, the operators' endpoints, and errors in one form."""

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.access.keys import KeyRing
from serve.doors.http_api.asgi import HeaderLookup, Reply, error_headers, text_header
from serve.doors.http_api.console import console_page
from serve.doors.http_api.cross_origin import OriginGuard
from serve.doors.http_api.doors import doors, errors_at
from serve.doors.http_api.embeddings import PATH as EMBEDDINGS_PATH
from serve.doors.http_api.embeddings import EmbeddingsEndpoint
from serve.doors.http_api.feedback import FeedbackEndpoint
from serve.doors.http_api.generate import GenerateEndpoint
from serve.doors.http_api.guard import PATH as GUARD_PATH
from serve.doors.http_api.guard import GuardEndpoint
from serve.doors.http_api.metrics_page import metrics_response
from serve.doors.http_api.openapi import openai_document
from serve.doors.http_api.operate import PATH as OPERATE_PATH
from serve.doors.http_api.operate import OperateEndpoint
from serve.doors.http_api.stored_responses import StoredResponses
from serve.doors.http_api.usage import UsageEndpoint
from serve.doors.http_api.vector_stores import VectorStoresEndpoints
from serve.doors.openai_api.responses.store import ResponseStore
from serve.doors.request_builder import Limits, RequestBuilder
from serve.embeddings.embedder import Embedder
from serve.embeddings.vector_stores import VectorStores
from serve.errors import InternalError, MethodNotAllowed, MoegateError, NotFound, UnknownModel
from serve.feedback.store import FeedbackBook
from serve.gateway import Gateway
from serve.limits.quota import Quotas
from serve.settings.tree import Settings
from serve.steps.guard.in_force import GuardRules
from serve.telemetry.logs import log_fault
from serve.telemetry.metrics.page import Page
from serve.telemetry.recent_requests import RecentRequests

log = logging.getLogger("moegate.http")

_AUTO: Final = "auto"


class HttpApp:
    """The ASGI application."""

    def __init__(
        self,
        gateway: Gateway,
        metrics_page: Callable[[], Awaitable[Page]],
        feedback: FeedbackBook,
        responses: ResponseStore,
        keys: KeyRing,
        settings: Settings,
        allowances: Quotas,
        recent: RecentRequests,
        embedder: Embedder | None = None,
        guard: GuardRules | None = None,
        stores: VectorStores | None = None,
    ) -> None:
        self._gateway = gateway
        self._page = metrics_page
        self._keys = keys
        self._builder = RequestBuilder("http", Limits(settings.timeout_s, gateway.max_tokens_limit))
        self._origins = OriginGuard(settings.http, has_keys=not keys.is_open)
        self._started_at = int(time.time())
        self._started_text = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._started_at))
        forms, stored = doors(responses), StoredResponses(responses)
        self._encoders = () if embedder is None else (embedder.model,)
        self._document = orjson.dumps(
            openai_document(forms, has_encoder=embedder is not None, has_collections=stores is not None)
        )
        self._console_page = console_page(has_collections=stores is not None)
        self.is_draining = False
        self._direct: dict[str, ASGIApp] = {
            path: GenerateEndpoint(gateway, settings, form) for path, form in forms.items()
        }
        if embedder is not None:
            self._direct[EMBEDDINGS_PATH] = EmbeddingsEndpoint(embedder, settings)
        operate = OperateEndpoint(gateway, metrics_page, keys, allowances, recent, started_at=self._started_at)
        self._app = Starlette(
            routes=[
                *(Route(path, endpoint, methods=["POST"]) for path, endpoint in self._direct.items()),
                Route("/v1/feedback", FeedbackEndpoint(feedback, settings), methods=["POST"]),
                Route("/v1/responses/{id}", stored.get, methods=["GET"]),
                Route("/v1/responses/{id}", stored.delete, methods=["DELETE"]),
                Route("/v1/responses/{id}/input_items", stored.input_items, methods=["GET"]),
                Route("/v1/responses/{id}/cancel", stored.cancel, methods=["POST"]),
                Route(GUARD_PATH, GuardEndpoint(guard, keys, settings), methods=["POST"]),
                *(() if stores is None else VectorStoresEndpoints(stores, settings).routes()),
                Route("/v1/usage", UsageEndpoint(metrics_page, keys, allowances).__call__),
                Route(OPERATE_PATH, operate.__call__),
                Route("/v1/models", self._models),
                Route("/v1/models/{name}", self._model),
                Route("/", self._console),
                Route("/health", self._health),
                Route("/ready", self._ready),
                Route("/metrics", self._metrics_page),
                Route("/openapi.json", self._openapi),
            ],
            exception_handlers={
                MoegateError: _on_moegate_error,
                HTTPException: _on_http_exception,
                Exception: _on_moegate_error,
            },
        )
        self._app.router.redirect_slashes = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection's next request; the last place where a fault can be caught.

        What generates goes straight to its endpoint: Starlette's layers would see every token of a stream pass.
        """
        path: str = scope["path"]
        if (
            path.endswith("/") and path != "/"
        ):  # a redirect would name a host, and clients drop a POST's body on its way
            path = scope["path"] = path[:-1]
        endpoint = self._direct.get(path) if scope["method"] == "POST" else None
        try:
            if path.startswith("/v1/") and scope["method"] != "OPTIONS":
                self._origins.check(scope)
                scope["state"]["caller"] = self._keys.identify(
                    text_header(scope, "authorization"), text_header(scope, "x-api-key")
                )
            if endpoint is not None:
                await endpoint(scope, receive, send)
            else:
                await self._app(scope, receive, self._naming(scope, send))
        except MoegateError as error:
            await Reply(self._naming(scope, send), errors=errors_at(path)).fail(error)
        except Exception as error:  # the door's edge; Starlette has already answered 500
            log_fault(log, error)

    def _naming(self, scope: Scope, send: Send) -> Send:
        """Name the request in the headers of its answer, as the generating endpoints do themselves."""
        request_id = self._builder.arrive(HeaderLookup(scope), id_prefix="req-").request_id
        scope["state"]["request_id"] = request_id

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        return send_named

    async def _models(self, request: Request) -> Response:
        names = self._model_names
        ends = {"has_more": False, "first_id": names[0], "last_id": names[-1]}
        return _json({"object": "list", "data": [self._model_entry(name) for name in names], **ends})

    async def _model(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in self._model_names:
            raise UnknownModel("no such model", param="model")
        return _json(self._model_entry(name))

    @property
    def _model_names(self) -> tuple[str, ...]:
        return (_AUTO, *self._gateway.catalog.names, *self._encoders)

    def _model_entry(self, name: str) -> dict[str, Any]:
        """A model as OpenAI's clients read it, and Anthropic's: their fields do not clash."""
        entry: dict[str, Any] = {"id": name, "object": "model", "created": self._started_at, "owned_by": "moegate"}
        entry |= {"type": "model", "display_name": name, "created_at": self._started_text}
        spec = self._gateway.catalog.get(name)
        if spec is not None:
            entry |= {"description": spec.description, "context_window": spec.context_window, "base": spec.base}
        return entry

    async def _health(self, request: Request) -> Response:
        """Liveness: this process answers."""
        return _json({"status": "ok"})

    async def _ready(self, request: Request) -> Response:
        """Readiness: some expert can answer, and the gateway is not stopping."""
        health = self._gateway.health
        is_ready = health.is_ready and not self.is_draining
        reasons = {name: health.why_not(name) for name in health.experts}
        coverage = self._gateway.router_coverage()
        body = {
            "status": "ready" if is_ready else "not ready",
            "draining": self.is_draining,
            "experts": {name: reason is None for name, reason in reasons.items()},
            "reasons": {name: reason for name, reason in reasons.items() if reason is not None},
            "router": {
                "unknown_experts": list(coverage.unknown_experts),
                "classes_without_expert": list(coverage.classes_without_expert),
            },
        }
        return _json(body, 200 if is_ready else 503)

    async def _metrics_page(self, request: Request) -> Response:
        return await metrics_response(await self._page(), request.headers)

    async def _console(self, request: Request) -> Response:
        return self._console_page

    async def _openapi(self, request: Request) -> Response:
        return Response(self._document, media_type="application/json")


def _json(content: Mapping[str, Any], status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")


def _error(request: Request, error: MoegateError, status: int | None = None) -> Response:
    headers = {key.decode(): value.decode() for key, value in error_headers(error)}
    return Response(errors_at(request.url.path).body(error), status or error.http_status, headers)


async def _on_moegate_error(request: Request, error: Exception) -> Response:
    return _error(request, error if isinstance(error, MoegateError) else InternalError("internal error"))


async def _on_http_exception(request: Request, error: Exception) -> Response:
    """Render Starlette's own refusals: no such path, no such method."""
    assert isinstance(error, HTTPException)  # it is registered for those
    if error.status_code == 405:
        allowed = ", ".join(sorted((error.headers or {}).get("Allow", "").split(", ")))
        return _error(request, MethodNotAllowed("the path does not take this method", headers=(("allow", allowed),)))
    return _error(request, NotFound("no such path"), error.status_code)
