"""Calls with one answer: an error's status counts, whatever message came before it."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest
import pytest_asyncio

from protos import encoder_pb2
from protos import expert_pb2 as pb
from serve.errors import EncoderFailed, ExpertUnavailable
from serve.expert_client.channel import ExpertChannels
from serve.expert_client.encoder_channel import EncoderChannel


class Ingress(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc ships no types for it
    """Answers as Ray Serve does: an empty message, then the status."""

    def __init__(self) -> None:
        self.status = grpc.StatusCode.OK

    def service(self, details: Any) -> Any:
        async def answer(request: bytes, context: Any) -> AsyncIterator[bytes]:
            yield b""
            if self.status is not grpc.StatusCode.OK:
                await context.abort(self.status, "Traceback at 10.0.0.1")

        return grpc.unary_stream_rpc_method_handler(answer)


@pytest_asyncio.fixture
async def ingress() -> AsyncIterator[tuple[Ingress, str]]:
    handler, server = Ingress(), grpc.aio.server()
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield handler, f"127.0.0.1:{port}"
    await server.stop(0)


async def test_an_expert_that_fails_to_describe_itself_is_not_well(ingress: tuple[Ingress, str]) -> None:
    handler, target = ingress
    channels = ExpertChannels(target, 1)
    try:
        assert await channels.describe("coder", timeout_s=30) == pb.DescribeResponse()
        handler.status = grpc.StatusCode.UNAVAILABLE
        with pytest.raises(ExpertUnavailable) as failed:
            await channels.describe("coder", timeout_s=30)
        assert "10.0.0.1" not in str(failed.value)
    finally:
        await channels.close()


async def test_an_encoder_that_fails_gives_no_empty_vectors(ingress: tuple[Ingress, str]) -> None:
    handler, target = ingress
    channel = EncoderChannel(target)
    try:
        handler.status = grpc.StatusCode.INTERNAL
        with pytest.raises(EncoderFailed):
            await channel.embed(encoder_pb2.EmbedRequest(), timeout_s=30)
    finally:
        await channel.close()


async def test_nobody_there_is_said_so() -> None:
    channels = ExpertChannels("127.0.0.1:1", 1)
    with pytest.raises(ExpertUnavailable):
        await channels.describe("coder", timeout_s=5)
    await channels.close()
