"""Traces: context in over both doors and on to the expert, spans in their places, no words unless asked for."""

import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
import pytest_asyncio

from protos import chat_pb2 as chat
from protos import gateway_pb2 as pb
from protos.gateway_pb2_grpc import GatewayStub
from serve.app import App, make_tracer
from serve.settings.tree import Settings, SettingsError, TracingSettings
from tests.fakes.expert_server import FakeExperts

pytest.importorskip("opentelemetry.sdk")

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from serve.telemetry.otel import OtelTracer

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED = f"00-{TRACE}-{PARENT}-01"
SECRET = "the launch code is 0000"
BODY = {"model": "coder", "messages": [{"role": "user", "content": SECRET}], "temperature": 0.5}


class Exporter(InMemorySpanExporter):
    def named(self) -> dict[str, ReadableSpan]:
        return {span.name: span for span in self.get_finished_spans()}


@pytest.fixture
def exporter() -> Exporter:
    return Exporter()


@pytest_asyncio.fixture
async def app(settings: Settings, exporter: Exporter, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[App]:
    monkeypatch.setattr("serve.app.make_tracer", lambda _: OtelTracer(exporter, settings.tracing))
    app = App(settings)
    await app.start()
    yield app
    await app.stop()


def flush(app: App) -> None:
    tracer = app._tracer
    assert isinstance(tracer, OtelTracer)
    tracer._provider.force_flush()


async def test_one_request_is_one_trace_under_the_callers(
    app: App, http: httpx2.AsyncClient, experts: FakeExperts, exporter: Exporter
) -> None:
    await http.post("/v1/chat/completions", json=BODY, headers={"traceparent": SAMPLED})
    flush(app)
    spans = exporter.named()
    assert list(spans) == ["admit", "route", "dispatch", "stream", "chat coder"]
    assert {f"{span.context.trace_id:032x}" for span in spans.values() if span.context} == {TRACE}
    root = spans["chat coder"]
    assert root.parent is not None
    assert f"{root.parent.span_id:016x}" == PARENT
    attributes = dict(root.attributes or {})
    assert attributes["gen_ai.operation.name"] == "chat"
    assert attributes["gen_ai.provider.name"] == "moegate"
    assert attributes["gen_ai.response.model"] == "coder"
    assert attributes["gen_ai.request.temperature"] == 0.5
    assert (attributes["gen_ai.usage.input_tokens"], attributes["gen_ai.usage.output_tokens"]) == (7, 3)
    assert attributes["gen_ai.response.finish_reasons"] == ("stop",)
    assert attributes["moegate.reason"] == "pinned"
    assert [event.name for event in root.events] == ["gen_ai.first_token"]
    dispatch = spans["dispatch"]
    assert dispatch.context is not None
    told = experts["coder"].metadata[0]["traceparent"]
    assert told == f"00-{TRACE}-{dispatch.context.span_id:016x}-01"  # the expert's spans hang below the dispatch
    assert all(SECRET not in span.to_json() for span in spans.values())


async def test_over_grpc(app: App, stub: GatewayStub, experts: FakeExperts, exporter: Exporter) -> None:
    message = chat.Message(role=chat.ROLE_USER, content=SECRET)
    request = pb.GenerateRequest(model="coder", conversation=chat.Conversation(messages=[message]))
    await stub.Complete(request, metadata=(("traceparent", SAMPLED),))
    flush(app)
    assert experts["coder"].metadata[0]["traceparent"].startswith(f"00-{TRACE}-")
    assert dict(exporter.named()["chat coder"].attributes or {})["moegate.door"] == "grpc"


async def test_what_the_caller_does_not_sample_is_not_recorded(
    app: App, http: httpx2.AsyncClient, experts: FakeExperts, exporter: Exporter
) -> None:
    await http.post("/v1/chat/completions", json=BODY, headers={"traceparent": SAMPLED[:-2] + "00"})
    flush(app)
    assert exporter.named() == {}
    assert experts["coder"].metadata[0]["traceparent"].endswith("-00")


async def test_a_fallback_and_a_failure(
    app: App, http: httpx2.AsyncClient, experts: FakeExperts, exporter: Exporter
) -> None:
    body = {"messages": [{"role": "user", "content": "Fix this Python function: def f(x) return x"}]}
    first = (await http.post("/v1/chat/completions", json=body)).headers["x-moegate-expert"]
    exporter.clear()
    flush(app)
    exporter.clear()
    experts[first].is_down = True
    await http.post("/v1/chat/completions", json=body)
    await http.post("/v1/chat/completions", json={**body, "model": first})
    flush(app)
    dispatches = [span for span in exporter.get_finished_spans() if span.name == "dispatch"]
    assert [span.status.status_code.name for span in dispatches] == ["ERROR", "UNSET", "ERROR"]
    roots = [dict(span.attributes or {}) for span in exporter.get_finished_spans() if span.name.startswith("chat")]
    assert [root.get("error.type") for root in roots] == [None, "expert_unavailable"]
    assert roots[0]["moegate.reason"] == "fallback"


async def test_a_request_that_is_handed_back(
    app: App, http: httpx2.AsyncClient, experts: FakeExperts, exporter: Exporter
) -> None:
    experts["tool-caller"].declines_after = 3
    tools = [{"type": "function", "function": {"name": "get_time", "description": "The local time of a city"}}]
    messages = [{"role": "user", "content": "Write a Python function that prints the time of a city"}]
    to = (await http.post("/v1/chat/completions", json={"messages": messages, "tools": tools})).headers
    flush(app)
    first, second = (span for span in exporter.get_finished_spans() if span.name == "dispatch")
    assert [span.status.status_code.name for span in (first, second)] == ["UNSET", "UNSET"]
    assert dict(first.attributes or {})["moegate.expert"] == "tool-caller"
    told = dict(second.attributes or {})
    assert (told["moegate.expert"], told["moegate.reason"]) == (to["x-moegate-expert"], "handed_back")
    assert told["moegate.handed_back_by"] == "tool-caller"
    [root] = [dict(span.attributes or {}) for span in exporter.get_finished_spans() if span.name.startswith("chat")]
    assert (root["moegate.reason"], root["gen_ai.response.model"]) == ("handed_back", to["x-moegate-expert"])


@pytest.mark.parametrize("overrides", [{"tracing": {"content": True}}])
async def test_words_where_they_are_asked_for(app: App, http: httpx2.AsyncClient, exporter: Exporter) -> None:
    await http.post("/v1/chat/completions", json=BODY)
    flush(app)
    assert dict(exporter.named()["chat coder"].attributes or {})["gen_ai.input.messages"] == f"user: {SECRET}"


async def test_metrics_point_to_traces(app: App, http: httpx2.AsyncClient) -> None:
    await http.post("/v1/chat/completions", json=BODY, headers={"traceparent": SAMPLED})
    page = await http.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert f'trace_id="{TRACE}"' in page.text


def test_off_means_not_even_imported() -> None:
    program = "import serve.app, sys; raise SystemExit(any(n.startswith('opentelemetry') for n in sys.modules))"
    ended = subprocess.run([sys.executable, "-c", program], check=False, cwd=Path(__file__).parents[3])
    assert ended.returncode == 0


def test_on_without_the_extra_is_said_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    assert make_tracer(TracingSettings()).begin is not None
    monkeypatch.setitem(sys.modules, "serve.telemetry.otel", None)
    with pytest.raises(SettingsError, match=r"moegate\[otel\]"):
        make_tracer(TracingSettings(enabled=True))


def test_the_exporters() -> None:
    for endpoint in ("http://127.0.0.1:4317", "http://127.0.0.1:4318/v1/traces"):
        make_tracer(TracingSettings(enabled=True, endpoint=endpoint)).close()


class TestOff:
    """Tracing off: the caller's context goes on as it came."""

    @pytest_asyncio.fixture
    async def app(self, settings: Settings) -> AsyncIterator[App]:
        app = App(settings)
        await app.start()
        yield app
        await app.stop()

    async def test_the_context_is_passed_on(self, app: App, http: httpx2.AsyncClient, experts: FakeExperts) -> None:
        await http.post("/v1/chat/completions", json=BODY, headers={"traceparent": SAMPLED})
        await http.post("/v1/chat/completions", json=BODY)
        assert experts["coder"].metadata[0]["traceparent"] == SAMPLED
        assert "traceparent" not in experts["coder"].metadata[1]
