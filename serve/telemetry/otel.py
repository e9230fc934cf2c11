"""Traces by OpenTelemetry: one span a request, with spans for admission, routing, each dispatch and the stream.

Only `serve.app` imports it, and only if tracing is on; it needs the extra `moegate[otel]`. Names follow the GenAI
semantic conventions (https://github.com/open-telemetry/semantic-conventions-genai, status Development). The caller's
sampling decision is honoured. No prompt and no answer goes into a span unless `tracing.content` is set.
"""

from typing import Any, Final

from opentelemetry import trace as api
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from protos import chat_pb2 as chat
from router.decision import RouteDecision
from serve import __version__
from serve.request import ChatRequest
from serve.settings.tree import TracingSettings
from serve.telemetry.tracing import Trace

PROVIDER: Final = "moegate"
_LONGEST_CONTENT: Final = 16_000  # characters of a prompt in a span
_ROLES: Final = {chat.ROLE_SYSTEM: "system", chat.ROLE_USER: "user", chat.ROLE_ASSISTANT: "assistant"}
_PROPAGATOR: Final = TraceContextTextMapPropagator()


class OtelTracer:
    """Makes traces and sends them by OTLP from a thread of its own."""

    def __init__(self, exporter: SpanExporter, settings: TracingSettings) -> None:
        resource = Resource.create({"service.name": "moegate-gateway", "service.version": __version__})
        sampler = ParentBased(TraceIdRatioBased(settings.sample))
        self._provider = TracerProvider(resource=resource, sampler=sampler, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("moegate.gateway", __version__)
        self._shows_content = settings.content

    def begin(self, request: ChatRequest) -> Trace:
        """Start a request's root span, under the caller's where it sent one."""
        return OtelTrace(self._tracer, request, shows_content=self._shows_content)

    def close(self) -> None:
        """Send the remaining spans; wait for the collector at most as long as an export may take."""
        self._provider.shutdown()


class OtelTrace:
    """One request's spans."""

    def __init__(self, tracer: api.Tracer, request: ChatRequest, *, shows_content: bool) -> None:
        carrier = {} if request.traceparent is None else {"traceparent": request.traceparent}
        parent = _PROPAGATOR.extract(carrier)
        operation = "text_completion" if isinstance(request.input, str) else "chat"
        self._tracer = tracer
        self._root = tracer.start_span(
            f"{operation} {request.pinned or 'auto'}",
            context=parent,
            kind=SpanKind.SERVER,
            attributes=_request_attributes(request, operation),
        )
        self._context = api.set_span_in_context(self._root, parent)
        self._step: api.Span | None = self._begin("admit")
        self._is_recording = self._root.is_recording()
        if shows_content and self._is_recording:
            self._root.set_attribute("gen_ai.input.messages", _content(request))
        context = self._root.get_span_context()
        self.exemplar = {"trace_id": f"{context.trace_id:032x}"} if context.trace_flags.sampled else None

    @property
    def traceparent(self) -> str | None:
        """The current step's context: the expert's spans hang below its dispatch."""
        carrier: dict[str, str] = {}
        span = self._step or self._root
        _PROPAGATOR.inject(carrier, context=api.set_span_in_context(span, self._context))
        return carrier.get("traceparent")

    def admitted(self, waited_s: float) -> None:
        """End `admit`, begin `route`."""
        self._set(self._step, {"moegate.queue_s": waited_s})
        self._next("route")

    def routed(self, decision: RouteDecision) -> None:
        """End `route`, begin `dispatch`."""
        attributes = _decision_attributes(decision)
        self._set(self._step, attributes)
        self._set(self._root, attributes | {"gen_ai.response.model": decision.expert})
        self._next("dispatch", {"moegate.expert": decision.expert})

    def fell_back(self, expert: str, to: str) -> None:
        """End this dispatch as failed, begin the next one."""
        if self._step is not None:
            self._step.set_status(Status(StatusCode.ERROR))
        self._next("dispatch", {"moegate.expert": to, "moegate.fallback_from": expert})
        self._set(self._root, {"moegate.expert": to, "moegate.reason": "fallback", "gen_ai.response.model": to})

    def handed_back(self, expert: str, decision: RouteDecision) -> None:
        """End this dispatch, begin the next one, which the words alone have decided."""
        attributes = _decision_attributes(decision)
        self._next("dispatch", attributes | {"moegate.handed_back_by": expert})
        self._set(self._root, attributes | {"gen_ai.response.model": decision.expert})

    def first_token(self) -> None:
        """End `dispatch`, begin `stream`."""
        self._root.add_event("gen_ai.first_token")
        self._next("stream")

    def end(
        self, outcome: str, prompt_tokens: int, completion_tokens: int, finish: str | None, cost_usd: float
    ) -> None:
        """End everything."""
        attributes: dict[str, Any] = {
            "gen_ai.usage.input_tokens": prompt_tokens,
            "gen_ai.usage.output_tokens": completion_tokens,
            "moegate.outcome": outcome,
            "moegate.cost_usd": cost_usd,
        }
        if finish is not None:
            attributes["gen_ai.response.finish_reasons"] = [finish]
        is_fault = outcome not in {"ok", "cancelled"}
        if is_fault:
            attributes["error.type"] = outcome
        self._set(self._root, attributes)
        for span in (self._step, self._root):
            if span is not None:
                if is_fault:
                    span.set_status(Status(StatusCode.ERROR))
                span.end()

    def _begin(self, name: str, attributes: dict[str, Any] | None = None) -> api.Span:
        return self._tracer.start_span(
            name, context=self._context, kind=_KINDS.get(name, SpanKind.INTERNAL), attributes=attributes
        )

    def _next(self, name: str, attributes: dict[str, Any] | None = None) -> None:
        if self._step is not None:
            self._step.end()
        self._step = self._begin(name, attributes)

    @staticmethod
    def _set(span: api.Span | None, attributes: dict[str, Any]) -> None:
        if span is not None:
            span.set_attributes(attributes)


_KINDS: Final = {"dispatch": SpanKind.CLIENT}


def otel_tracer(settings: TracingSettings) -> OtelTracer:
    """Make a tracer that exports to the settings' collector."""
    return OtelTracer(_exporter(settings.endpoint), settings)


def _exporter(endpoint: str) -> SpanExporter:
    """OTLP over gRPC, or over HTTP where the endpoint is a traces URL."""
    if endpoint.rstrip("/").endswith("/v1/traces"):
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as OverHttp  # noqa: PLC0415

        return OverHttp(endpoint=endpoint, timeout=5)
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as OverGrpc  # noqa: PLC0415

    return OverGrpc(endpoint=endpoint, insecure=endpoint.startswith("http://"), timeout=5)


def _request_attributes(request: ChatRequest, operation: str) -> dict[str, Any]:
    sampling = request.sampling
    attributes: dict[str, Any] = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": PROVIDER,
        "gen_ai.request.model": request.pinned or "auto",
        "moegate.door": request.door,
        "moegate.request_id": request.request_id,
        "moegate.response_id": request.id,
        "gen_ai.response.id": request.id,
    }
    for name in ("max_tokens", "temperature", "top_p"):
        if sampling.HasField(name):
            attributes[f"gen_ai.request.{name}"] = getattr(sampling, name)
    return attributes


def _decision_attributes(decision: RouteDecision) -> dict[str, Any]:
    return {
        "moegate.expert": decision.expert,
        "moegate.reason": decision.reason.value,
        "moegate.confidence": decision.confidence,
        "moegate.router_version": decision.router_version,
        "moegate.route_s": decision.route_s,
    }


def _content(request: ChatRequest) -> str:
    if isinstance(request.input, str):
        return request.input[:_LONGEST_CONTENT]
    turns = (f"{_ROLES.get(message.role, 'tool')}: {message.content}" for message in request.input.messages)
    return "\n".join(turns)[:_LONGEST_CONTENT]
