"""Machine-made requests: schemathesis against our OpenAPI document, hypothesis against the protos. No fault, no hang.

Bounded: so many examples with a fixed seed, so the run takes about as long each time; `MOEGATE_FUZZ_EXAMPLES` asks for
more, and `make fuzz` for some ten thousand cases in all.
"""

import asyncio
import os
import sys
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from protos import gateway_pb2 as pb
from protos.gateway_pb2_grpc import GatewayStub
from serve.app import App
from tests.fakes.expert_server import FakeExperts

EXAMPLES = int(os.environ.get("MOEGATE_FUZZ_EXAMPLES", "3"))
CALLERS_FAULT = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
}

pytestmark = pytest.mark.slow


async def test_openapi(app: App, experts: FakeExperts) -> None:
    checks = "not_a_server_error,content_type_conformance,response_schema_conformance,status_code_conformance"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "run", f"http://{app.http_address}/openapi.json"),
        *("--checks", checks, "--max-examples", str(EXAMPLES), "--phases", "examples,coverage,fuzzing"),
        *("--mode", "all", "--seed", "1", "--generation-deterministic", "--no-shrink", "--continue-on-failure"),
        *("--request-timeout", "20", "--max-time", str(10 * EXAMPLES), "--warnings", "off"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    print("\n".join(line for line in output.decode().splitlines() if "generated" in line or "Operations" in line))
    assert process.returncode == 0, output.decode()[-6000:]
    assert await asyncio.wait_for(is_well(app), 60)
    assert all(not script.live for script in experts.scripts.values())


async def is_well(app: App) -> bool:
    async with grpc.aio.insecure_channel(app.grpc_address) as channel:
        return bool((await GatewayStub(channel).ListExperts(pb.ListExpertsRequest())).experts)


def messages(kind: type[Message], depth: int = 0) -> st.SearchStrategy[Message]:
    """Any message of a kind: every field set or not, to anything its type allows."""

    @st.composite
    def build(draw: st.DrawFn) -> Message:
        message = kind()
        for field in kind.DESCRIPTOR.fields:
            if draw(st.booleans()) and depth < 4:
                put(message, field, draw(values(field, depth)))
        return message

    return build()


def values(field: FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
    if is_map(field):
        key, value = (values(one, depth + 1) for one in field.message_type.fields)
        return st.dictionaries(key, value, max_size=3)
    match field.type:
        case FieldDescriptor.TYPE_MESSAGE:
            one = messages(field.message_type._concrete_class, depth + 1)
        case FieldDescriptor.TYPE_STRING:
            odd = st.sampled_from(["coder", "auto", "", "\x00", "é" * 300, "{}", "[" * 500, "moegate"])
            one = st.one_of(odd, st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
        case FieldDescriptor.TYPE_ENUM:
            one = st.integers(-1, 9)
        case FieldDescriptor.TYPE_BOOL:
            one = st.booleans()
        case FieldDescriptor.TYPE_FLOAT | FieldDescriptor.TYPE_DOUBLE:
            one = st.floats(width=32)
        case FieldDescriptor.TYPE_UINT64:
            one = st.integers(0, 2**64 - 1)
        case _:
            one = st.integers(0, 2**31 - 1)
    return st.lists(one, max_size=3) if field.is_repeated else one


def is_map(field: FieldDescriptor) -> bool:
    return field.type == FieldDescriptor.TYPE_MESSAGE and field.message_type.GetOptions().map_entry


def put(message: Message, field: FieldDescriptor, value: Any) -> None:
    if is_map(field):
        getattr(message, field.name).update(value)
    elif field.is_repeated:
        getattr(message, field.name).extend(value)
    elif field.type == FieldDescriptor.TYPE_MESSAGE:
        getattr(message, field.name).CopyFrom(value)
    else:
        setattr(message, field.name, value)


async def test_protos(app: App) -> None:
    loop = asyncio.get_running_loop()

    @seed(1)
    @settings(max_examples=EXAMPLES * 8, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(message=messages(pb.GenerateRequest))
    def every(message: pb.GenerateRequest) -> None:
        assert asyncio.run_coroutine_threadsafe(outcomes(message), loop).result(30) <= CALLERS_FAULT

    async def outcomes(message: pb.GenerateRequest) -> set[grpc.StatusCode]:
        seen = set()
        for call in (stub.Complete(message, timeout=60), stub.Route(message, timeout=10)):
            try:
                await call
            except grpc.aio.AioRpcError as error:
                seen.add(error.code())
                assert error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED
                assert "x-moegate-error-code" in dict(error.trailing_metadata() or ())
        return seen

    async with grpc.aio.insecure_channel(app.grpc_address) as channel:
        stub = GatewayStub(channel)
        await asyncio.to_thread(every)


@pytest.mark.parametrize(
    "raw", [b"\xff", b"\x0a\xff\xff\xff\xff\x0f", b"\x00" * 64, b"\x12\x03abc", bytes(range(191, 255))]
)
async def test_bytes_that_are_no_message(app: App, raw: bytes) -> None:
    async with grpc.aio.insecure_channel(app.grpc_address) as channel:
        call = channel.unary_unary("/moegate.gateway.v1.Gateway/Complete")
        with pytest.raises(grpc.aio.AioRpcError):
            await call(raw, timeout=60)
    assert await is_well(app)
