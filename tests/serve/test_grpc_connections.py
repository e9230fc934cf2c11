"""What gRPC's connections carry beside calls: keepalive pings, reflection under both of its names."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha import reflection_pb2

from protos import chat_pb2 as chat
from protos import gateway_pb2 as pb
from protos.gateway_pb2_grpc import GatewayStub
from serve.app import App
from serve.settings.doors import GrpcSettings
from tests.fakes.expert_server import FakeExperts

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5)
PING = b"\x00\x00\x08\x06\x00" + bytes(4) + b"12345678"
GOAWAY = 7
V1, V1ALPHA = "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"


async def kinds_after_pings(app: App, count: int, every_s: float) -> list[int]:
    """The kinds of frames that come back for so many pings, by hand: client libraries will not ping so often."""
    host, _, port = app.grpc_address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(PREFACE)
    kinds: list[int] = []

    async def read() -> None:
        while head := await reader.read(9):
            kinds.append(head[3])
            await reader.readexactly(int.from_bytes(head[:3]))

    reading = asyncio.create_task(read())
    for _ in range(count):
        writer.write(PING)
        await asyncio.sleep(every_s)
    writer.close()
    await asyncio.wait({reading}, timeout=60)
    reading.cancel()
    return kinds


@pytest.mark.parametrize("overrides", [{"grpc": {"min_ping_interval_s": 0.1}}])
async def test_a_client_may_ping_without_calls(app: App) -> None:
    kinds = await kinds_after_pings(app, 8, 0.25)
    assert GOAWAY not in kinds
    assert kinds.count(6) == 8


@pytest.mark.parametrize("overrides", [{"grpc": {"min_ping_interval_s": 600}}])
async def test_who_pings_more_often_than_allowed_is_sent_away(app: App) -> None:
    assert GOAWAY in await kinds_after_pings(app, 8, 0.05)


def test_ten_seconds_are_allowed_by_default() -> None:
    assert GrpcSettings().min_ping_interval_s <= 10  # what grpc-go and grpc-java keep clients to at least


@pytest.mark.parametrize("overrides", [{"grpc": {"min_ping_interval_s": 0.05}}])
async def test_pings_do_not_end_a_call_that_waits(app: App, experts: FakeExperts) -> None:
    experts["coder"].first_s = 1.5
    options = [
        ("grpc.keepalive_time_ms", 100),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
    ]
    conversation = chat.Conversation(messages=[chat.Message(role=chat.ROLE_USER, content="hi")])
    async with grpc.aio.insecure_channel(app.grpc_address, options) as channel:
        answer = await GatewayStub(channel).Complete(pb.GenerateRequest(model="coder", conversation=conversation))
    assert answer.text == "Hello there!"


class Reflection:
    """A client of reflection under one of its names."""

    def __init__(self, channel: grpc.aio.Channel, service: str) -> None:
        self._call: Any = channel.stream_stream(
            f"/{service}/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )

    async def ask(self, **request: Any) -> reflection_pb2.ServerReflectionResponse:
        async def requests() -> AsyncIterator[reflection_pb2.ServerReflectionRequest]:
            yield reflection_pb2.ServerReflectionRequest(**request)

        return await anext(aiter(self._call(requests(), timeout=60)))

    async def files(self, symbol: str) -> list[str]:
        answer = await self.ask(file_containing_symbol=symbol)
        protos = answer.file_descriptor_response.file_descriptor_proto
        return [FileDescriptorProto.FromString(raw).name for raw in protos]


@pytest.mark.parametrize("service", [V1, V1ALPHA])
async def test_reflection_under_both_names(app: App, service: str) -> None:
    async with grpc.aio.insecure_channel(app.grpc_address) as channel:
        client = Reflection(channel, service)
        listed = [entry.name for entry in (await client.ask(list_services="")).list_services_response.service]
        assert listed == sorted(["grpc.health.v1.Health", V1, V1ALPHA, "moegate.gateway.v1.Gateway"])
        for name in listed:  # a client such as grpcui asks for every service that is listed
            assert await client.files(name)
        for symbol in (
            "moegate.gateway.v1.Gateway.Generate",
            "moegate.gateway.v1.GenerateRequest.model",
            "moegate.gateway.v1.REASON_PINNED",
            "moegate.gateway.v1.Reason.REASON_PINNED",
        ):
            assert "protos/gateway.proto" in await client.files(symbol)
        for symbol in ("moegate.gateway.v1.Gateway.Nothing", "moegate.gateway.v1.Reason.X", "nothing", "", "a.b.c"):
            assert (await client.ask(file_containing_symbol=symbol)).error_response.error_code == 5


async def test_the_newer_names_descriptors_are_whole(app: App) -> None:
    async with grpc.aio.insecure_channel(app.grpc_address) as channel:
        answer = await Reflection(channel, V1).ask(file_containing_symbol=V1)
    pool = DescriptorPool()
    for raw in reversed(answer.file_descriptor_response.file_descriptor_proto):
        pool.AddSerializedFile(raw)
    (method,) = pool.FindServiceByName(V1).methods
    assert method.input_type.full_name == "grpc.reflection.v1.ServerReflectionRequest"
    assert pool.FindMessageTypeByName("grpc.reflection.v1.ServerReflectionResponse").fields_by_name["error_response"]
