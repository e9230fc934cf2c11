"""One builder for both doors: the same headers or metadata, and the same parts, make the same request."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import grpc.aio
import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protos import chat_pb2 as chat
from protos import gateway_pb2 as pb
from protos.gateway_pb2_grpc import GatewayStub
from serve.app import App
from serve.doors.request_builder import Limits, Parts, RequestBuilder
from serve.errors import InvalidRequest
from serve.gateway import Gateway
from serve.request import ANYONE, ChatRequest, Priority
from tests.helpers import CHAT

NOW = 1000.0
TALK = chat.Conversation(messages=[chat.Message(role=chat.ROLE_USER, content="hello")])
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def parts(**fields: Any) -> Parts:
    return replace(Parts("auto", TALK, chat.Sampling(), is_stream=False), **fields)


def build(headers: Mapping[str, str], given: Parts | None = None, *, limit_s: float = 300.0) -> ChatRequest:
    builder = RequestBuilder("grpc", Limits(limit_s, 1000), clock=lambda: NOW)
    return builder.arrive(dict(headers).get, id_prefix="gen-").request(given or parts(), ANYONE)


@pytest.mark.parametrize(
    ("header", "remaining_s", "takes_s"),
    [
        (None, None, 300),
        ("2000", None, 2),
        ("0.5", None, 0.0005),
        ("1e9", None, 300),
        ("inf", None, 300),
        (None, 5.0, 5),
        (None, 1e6, 300),
        ("2000", 5.0, 2),
        ("9000", 5.0, 5),
    ],
)
def test_the_least_of_all_deadlines_counts(header: str | None, remaining_s: float | None, takes_s: float) -> None:
    headers = {} if header is None else {"x-request-timeout-ms": header}
    assert build(headers, parts(remaining_s=remaining_s)).deadline == pytest.approx(NOW + takes_s)


@pytest.mark.parametrize("value", ["0", "-1", "nan", "-inf", "soon", "", "1 000", "0x10", "10s"])
def test_a_timeout_that_is_none(value: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        build({"x-request-timeout-ms": value})
    assert refused.value.param == "x-request-timeout-ms"


@settings(max_examples=100, deadline=None)
@given(name=st.text(max_size=140))
def test_only_what_may_go_into_a_log_names_a_request(name: str) -> None:
    request = build({"x-request-id": name})
    is_plain = 0 < len(name) <= 128 and all(c.isascii() and (c.isalnum() or c in "._:-") for c in name)
    assert request.request_id == (name if is_plain else request.id)
    assert request.id.startswith("gen-")
    assert request.id != build({}).id


@pytest.mark.parametrize("temperature", [None, 0.0, 1.5])
def test_top_p_of_nothing_is_greedy(temperature: float | None) -> None:
    asked = chat.Sampling(top_p=0, temperature=temperature, seed=7)
    assert build({}, parts(sampling=asked)).sampling == chat.Sampling(temperature=0, seed=7)
    assert asked.HasField("top_p")  # the caller's message is as it was


@pytest.mark.parametrize(("asked", "given"), [(None, None), (1, 1), (1000, 1000), (1001, 1000), (2**32 - 1, 1000)])
def test_more_tokens_than_any_window_holds_are_as_many_as_it_holds(asked: int | None, given: int | None) -> None:
    request = build({}, parts(sampling=chat.Sampling(max_tokens=asked)))
    assert request.sampling == chat.Sampling(max_tokens=given)


def test_a_field_wins_over_its_header() -> None:
    headers = {"x-moegate-quality-cost": "0.9", "x-moegate-ttft-target-ms": "9", "x-moegate-previous-expert": "coder"}
    preferences = build(headers, parts(quality_cost=0.1, ttft_target_ms=5.0, previous_expert="advisor")).preferences
    assert (preferences.quality_cost, preferences.ttft_target_ms, preferences.previous_expert) == (0.1, 5.0, "advisor")
    preferences = build(headers).preferences
    assert (preferences.quality_cost, preferences.ttft_target_ms, preferences.previous_expert) == (0.9, 9.0, "coder")


HEADERS: tuple[dict[str, str], ...] = (
    {},
    {"x-request-id": "trace-7"},
    {"x-request-id": "no spaces"},
    {"x-request-id": "a" * 129},
    {"x-moegate-priority": "batch"},
    {"x-moegate-quality-cost": "0.25", "x-moegate-ttft-target-ms": "1500"},
    {"x-moegate-previous-expert": "coder"},
    {"x-request-timeout-ms": "2500"},
    {"traceparent": TRACE},
    {"x-request-id": "b", "x-moegate-priority": "interactive", "traceparent": TRACE, "x-request-timeout-ms": "7e4"},
)


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[ChatRequest]:
    """Every request that reaches the core."""
    requests: list[ChatRequest] = []
    generate = Gateway.generate

    def listen(self: Gateway, request: ChatRequest) -> Any:
        requests.append(request)
        return generate(self, request)

    monkeypatch.setattr(Gateway, "generate", listen)
    return requests


@pytest.mark.parametrize("headers", HEADERS)
async def test_both_doors_build_the_same(
    app: App, http: httpx2.AsyncClient, stub: GatewayStub, heard: list[ChatRequest], headers: dict[str, str]
) -> None:
    sampling = {"temperature": 0.5, "top_p": 0.25, "max_tokens": 9, "stop": ["END"]}
    messages = [{"role": "user", "content": "hello"}]
    await http.post(CHAT, json={"model": "coder", "messages": messages, **sampling}, headers=headers)
    proto = pb.GenerateRequest(model="coder", conversation=TALK, sampling=chat.Sampling(**sampling))
    await stub.Complete(proto, metadata=tuple(headers.items()))
    first, second = heard
    theirs = first.request_id if first.request_id != first.id else None
    assert theirs == (second.request_id if second.request_id != second.id else None)
    assert second.deadline - second.received_at == pytest.approx(first.deadline - first.received_at)
    ours = {"id", "request_id", "door", "received_at", "deadline"}
    for name in set(ChatRequest.__dataclass_fields__) - ours:
        assert getattr(first, name) == getattr(second, name), name


@pytest.mark.parametrize(
    "headers",
    [
        {"x-moegate-priority": "urgent"},
        {"x-moegate-quality-cost": "2"},
        {"x-moegate-ttft-target-ms": "nan"},
        {"x-request-timeout-ms": "-1"},
        {"x-moegate-previous-expert": "nobody"},
    ],
)
async def test_both_doors_refuse_the_same(http: httpx2.AsyncClient, stub: GatewayStub, headers: dict[str, str]) -> None:
    body = {"model": "coder", "messages": [{"role": "user", "content": "hello"}]}
    response = await http.post(CHAT, json=body, headers={**headers, "x-request-id": "mine"})
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        metadata = (*headers.items(), ("x-request-id", "mine"))
        await stub.Complete(pb.GenerateRequest(model="coder", conversation=TALK), metadata=metadata)
    trailers = dict(refused.value.trailing_metadata() or ())
    assert response.status_code == 400
    assert response.headers["x-request-id"] == trailers["x-request-id"] == "mine"
    assert response.json()["error"]["code"] == trailers["x-moegate-error-code"]
    param = response.json()["error"]["param"]
    assert trailers["x-moegate-error-param"] == param.replace("x-moegate-previous-expert", "previous_expert")


async def test_both_doors_tell_the_same(http: httpx2.AsyncClient, stub: GatewayStub) -> None:
    body = {"model": "coder", "messages": [{"role": "user", "content": "hello"}]}
    response = await http.post(CHAT, json=body)
    call = stub.Complete(pb.GenerateRequest(model="coder", conversation=TALK))
    await call
    metadata = {key: value for key, value in await call.initial_metadata() if key.startswith("x-")}
    over_http = {key: value for key, value in response.headers.items() if key.startswith("x-")}
    assert set(metadata) == set(over_http) - {"x-moegate-cost-usd"}
    varying = {"x-request-id", "x-moegate-overhead-ms"}
    assert {key: metadata[key] for key in set(metadata) - varying} == {
        key: over_http[key] for key in set(metadata) - varying
    }
    assert metadata["x-moegate-ranking"].startswith(f"{metadata['x-moegate-expert']}=")
    assert build({}).priority is Priority.INTERACTIVE
