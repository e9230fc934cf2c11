"""The gRPC door: the same core, another wire."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from protos import chat_pb2 as chat
from protos import gateway_pb2 as pb
from protos.gateway_pb2_grpc import GatewayStub
from serve.app import App
from tests.fakes.expert_server import FakeExperts
from tests.helpers import until


def request(text: str = "hi", *, model: str = "coder", **sampling: Any) -> pb.GenerateRequest:
    message = chat.Message(role=chat.ROLE_USER, content=text)
    return pb.GenerateRequest(
        model=model, conversation=chat.Conversation(messages=[message]), sampling=chat.Sampling(**sampling)
    )


async def collect(stream: AsyncIterator[pb.GenerateChunk]) -> list[pb.GenerateChunk]:
    return [chunk async for chunk in stream]


async def test_generate(stub: GatewayStub) -> None:
    call = stub.Generate(request(), metadata=(("x-request-id", "trace-7"),))
    first, *middle, last = await collect(call)
    metadata = dict(await call.initial_metadata())
    assert first.decision.expert == "coder"
    assert first.decision.reason == pb.REASON_PINNED
    assert len(first.decision.ranking) == 5
    assert first.decision.route_us > 0
    assert "".join(chunk.text for chunk in middle) == "Hello there!"
    assert [chunk.token_count for chunk in middle] == [1, 1, 1]
    assert {chunk.id for chunk in (first, *middle, last)} == {first.id}
    assert last.summary.finish_reason == chat.FINISH_REASON_STOP
    assert (last.summary.usage.prompt_tokens, last.summary.usage.completion_tokens) == (7, 3)
    assert last.summary.cost_usd == pytest.approx(13e-6)
    assert last.summary.ttft_s > 0
    assert metadata["x-moegate-expert"] == "coder"
    assert metadata["x-request-id"] == "trace-7"


async def test_complete_is_the_stream_gathered(stub: GatewayStub) -> None:
    answer = await stub.Complete(request())
    assert (answer.text, answer.expert) == ("Hello there!", "coder")
    assert answer.summary.usage.completion_tokens == 3


async def test_a_raw_prompt(stub: GatewayStub, experts: FakeExperts) -> None:
    await stub.Complete(pb.GenerateRequest(model="coder", prompt="def f("))
    assert experts["coder"].requests[0].prompt == "def f("


async def test_route_calls_nobody(stub: GatewayStub, experts: FakeExperts) -> None:
    decision = await stub.Route(request("Fix this Python function: def f(x) return x", model="auto"))
    assert decision.expert in experts.scripts
    assert decision.reason in {pb.REASON_CLASSIFIED, pb.REASON_ABSTAINED}
    assert decision.router_version
    assert all(not script.requests for script in experts.scripts.values())


async def test_list_experts(stub: GatewayStub) -> None:
    answer = await stub.ListExperts(pb.ListExpertsRequest())
    assert [expert.name for expert in answer.experts] == [
        "researcher",
        "coder",
        "advisor",
        "tool-caller",
        "generalist",
    ]
    assert all(expert.ready and expert.engine == "echo" for expert in answer.experts)
    assert answer.experts[0].usd_per_million_completion_tokens == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("message", "status", "code", "param"),
    [
        (pb.GenerateRequest(), grpc.StatusCode.INVALID_ARGUMENT, "invalid_value", "input"),
        (pb.GenerateRequest(prompt=""), grpc.StatusCode.INVALID_ARGUMENT, "invalid_value", "prompt"),
        (
            pb.GenerateRequest(conversation=chat.Conversation()),
            grpc.StatusCode.INVALID_ARGUMENT,
            "invalid_value",
            "messages",
        ),
        (request(""), grpc.StatusCode.INVALID_ARGUMENT, "invalid_value", "messages[0].content"),
        (request(model="gpt-9"), grpc.StatusCode.NOT_FOUND, "model_not_found", "model"),
        (request(max_tokens=0), grpc.StatusCode.INVALID_ARGUMENT, "invalid_value", "max_tokens"),
        (request(temperature=float("nan")), grpc.StatusCode.INVALID_ARGUMENT, "invalid_value", "temperature"),
        (request(top_p=-1.0), grpc.StatusCode.INVALID_ARGUMENT, "invalid_value", "top_p"),
        (request(stop=["a"] * 5), grpc.StatusCode.INVALID_ARGUMENT, "invalid_value", "stop"),
    ],
)
@pytest.mark.parametrize("method", ["Generate", "Complete", "Route"])
async def test_bad_input_is_named(
    stub: GatewayStub, method: str, message: pb.GenerateRequest, status: grpc.StatusCode, code: str, param: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        answer = getattr(stub, method)(message)
        await (collect(answer) if method == "Generate" else answer)
    trailers = dict(caught.value.trailing_metadata() or ())
    assert caught.value.code() is status
    assert trailers["x-moegate-error-code"] == code
    assert trailers["x-moegate-error-param"] == param


async def test_no_detail_of_an_experts_failure_leaves(stub: GatewayStub, experts: FakeExperts) -> None:
    experts["coder"].break_after = 1
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await collect(stub.Generate(request()))
    assert caught.value.code() is grpc.StatusCode.ABORTED
    assert "Traceback" not in (caught.value.details() or "")
    experts["coder"].is_down = True
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Complete(request())
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "10.0.0.1" not in (caught.value.details() or "")
    assert ("grpc-retry-pushback-ms", "1000") in tuple(caught.value.trailing_metadata() or ())


async def test_the_next_expert_answers_for_one_that_is_down(stub: GatewayStub, experts: FakeExperts) -> None:
    first = (await stub.Route(request(model="auto"))).expert
    experts[first].is_down = True
    answer = await stub.Complete(request(model="auto"))
    assert answer.expert != first
    assert answer.decision.reason == pb.REASON_FALLBACK
    assert answer.decision.expert == answer.expert


async def test_the_callers_deadline(stub: GatewayStub, experts: FakeExperts) -> None:
    experts["coder"].first_s = 5
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Complete(request(), timeout=0.1)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await until(lambda: not experts["coder"].live)
    assert experts["coder"].live == 0


async def test_a_cancelled_call_reaches_the_expert(
    stub: GatewayStub, experts: FakeExperts, sample: Callable[..., float]
) -> None:
    experts["coder"].words = ["x"] * 1000
    experts["coder"].gap_s = 0.01
    call = stub.Generate(request())
    await call.read()
    await call.read()
    call.cancel()
    await until(lambda: experts["coder"].cancelled)
    assert (experts["coder"].live, experts["coder"].cancelled) == (0, 1)
    assert sample("moegate_requests_total", expert="coder", door="grpc", outcome="cancelled") == 1


async def test_health_and_reflection(app: App) -> None:
    async with grpc.aio.insecure_channel(app.grpc_address) as channel:
        checker = health_pb2_grpc.HealthStub(channel)
        for service in ("", "moegate.gateway.v1.Gateway"):
            answer = await checker.Check(health_pb2.HealthCheckRequest(service=service))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING

    def reflect() -> list[str]:
        with grpc.insecure_channel(app.grpc_address) as channel:
            database = ProtoReflectionDescriptorDatabase(channel)
            service = DescriptorPool(database).FindServiceByName("moegate.gateway.v1.Gateway")
            return [method.name for method in service.methods]

    assert await asyncio.to_thread(reflect) == ["Generate", "Complete", "Route", "ListExperts", "Feedback", "Embed"]
