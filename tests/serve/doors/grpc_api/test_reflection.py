"""Reflection under both of its names: what tools ask for, and what is not there."""

from collections.abc import AsyncIterator

import grpc.aio
import pytest
import pytest_asyncio
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha import reflection, reflection_pb2

from serve.doors.grpc_api.reflection import V1_SERVICE, enable_reflection

GATEWAY = "moegate.gateway.v1.Gateway"
NAMES = (reflection.SERVICE_NAME, V1_SERVICE)
Request = reflection_pb2.ServerReflectionRequest
Response = reflection_pb2.ServerReflectionResponse


@pytest_asyncio.fixture
async def channel() -> AsyncIterator[grpc.aio.Channel]:
    server = grpc.aio.server()
    enable_reflection([GATEWAY], server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel
    await server.stop(0)


async def ask(channel: grpc.aio.Channel, name: str, **question: str) -> Response:
    stream = channel.stream_stream(
        f"/{name}/ServerReflectionInfo",
        request_serializer=Request.SerializeToString,
        response_deserializer=Response.FromString,
    )
    [answer] = [answer async for answer in stream([Request(**question)], timeout=30)]
    return answer


def files(answer: Response) -> list[FileDescriptorProto]:
    return [FileDescriptorProto.FromString(raw) for raw in answer.file_descriptor_response.file_descriptor_proto]


@pytest.mark.parametrize("name", NAMES)
async def test_the_services_are_the_gateways_and_both_of_its_own(channel: grpc.aio.Channel, name: str) -> None:
    answer = await ask(channel, name, list_services="")
    assert {service.name for service in answer.list_services_response.service} == {GATEWAY, *NAMES}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("symbol", "file"),
    [
        (GATEWAY, "gateway.proto"),
        (f"{GATEWAY}.Generate", "gateway.proto"),
        ("moegate.gateway.v1.GenerateRequest", "gateway.proto"),
        ("moegate.gateway.v1.GenerateRequest.model", "gateway.proto"),
        ("moegate.chat.v1.Role", "chat.proto"),
        ("moegate.chat.v1.ROLE_USER", "chat.proto"),
        (V1_SERVICE, "grpc/reflection/v1/reflection.proto"),
        (reflection.SERVICE_NAME, "reflection.proto"),
    ],
)
async def test_a_symbol_is_found_in_its_file(channel: grpc.aio.Channel, name: str, symbol: str, file: str) -> None:
    found = files(await ask(channel, name, file_containing_symbol=symbol))
    assert any(one.name.endswith(file) for one in found)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "symbol", ["", "nothing", f"{GATEWAY}.Nothing", f"{GATEWAY}.Generate.Deeper", "moegate.chat.v1.Role.ROLE_POET"]
)
async def test_what_is_not_there_is_said_as_such(channel: grpc.aio.Channel, name: str, symbol: str) -> None:
    answer = await ask(channel, name, file_containing_symbol=symbol)
    assert answer.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


async def test_the_newer_name_describes_itself_in_its_own_words(channel: grpc.aio.Channel) -> None:
    [found] = [file for file in files(await ask(channel, V1_SERVICE, file_containing_symbol=V1_SERVICE))]
    assert found.package == "grpc.reflection.v1"
    assert "v1alpha" not in str(found)
    [older] = [file for file in files(await ask(channel, V1_SERVICE, file_containing_symbol=reflection.SERVICE_NAME))]
    assert [message.name for message in found.message_type] == [message.name for message in older.message_type]


async def test_a_second_server_of_the_process_serves_as_well(channel: grpc.aio.Channel) -> None:
    other = grpc.aio.server()
    enable_reflection([GATEWAY], other)
    assert (await ask(channel, V1_SERVICE, list_services="")).list_services_response.service
    await other.stop(0)
