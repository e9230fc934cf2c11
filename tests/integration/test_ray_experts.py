"""The experts behind Ray's own ingress, called straight: what the gateway relies on, and that nothing stays behind."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from protos import chat_pb2, expert_pb2, expert_pb2_grpc
from tests.integration.running import STOP_S, Experts, Moegate, write_catalog

pytestmark = pytest.mark.ray

ENDLESS = 50_000  # tokens: minutes at the pace of these experts


def conversation(text: str, **sampling: Any) -> expert_pb2.GenerateRequest:
    message = chat_pb2.Message(role=chat_pb2.ROLE_USER, content=text)
    return expert_pb2.GenerateRequest(
        conversation=chat_pb2.Conversation(messages=[message]), sampling=chat_pb2.Sampling(**sampling)
    )


def to(application: str, *more: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    return (("application", application), *more)


@pytest.fixture
async def stub(moegate: Moegate) -> AsyncIterator[expert_pb2_grpc.ExpertAsyncStub]:
    async with grpc.aio.insecure_channel(moegate.ingress) as channel:
        yield moegate.stub(channel)


async def failure(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _ in call:
            pass
    return caught.value


async def load_of(stub: expert_pb2_grpc.ExpertAsyncStub, application: str) -> tuple[int, int]:
    load = (await stub.Describe(expert_pb2.DescribeRequest(), metadata=to(application))).load
    return load.running, load.waiting


async def await_load(stub: expert_pb2_grpc.ExpertAsyncStub, application: str, wanted: tuple[int, int]) -> None:
    """Return once (running, waiting) is as wanted; fail after two seconds."""
    load = await load_of(stub, application)
    for _ in range(40):
        if load == wanted:
            return
        await asyncio.sleep(0.05)
        load = await load_of(stub, application)
    assert load == wanted


@pytest.mark.parametrize("name", ["researcher", "advisor", "tool-caller"])
async def test_application_metadata_selects_the_expert(stub: expert_pb2_grpc.ExpertAsyncStub, name: str) -> None:
    described = await stub.Describe(expert_pb2.DescribeRequest(), metadata=to(name))
    assert (described.expert, described.engine, described.artifact) == (name, "echo", "")
    assert described.load.max_batch_size == (1 if name == "tool-caller" else 64)


async def test_unknown_application_is_not_found(stub: expert_pb2_grpc.ExpertAsyncStub) -> None:
    error = await failure(stub.Generate(conversation("hello"), metadata=to("nobody")))
    assert error.code() is grpc.StatusCode.NOT_FOUND


async def test_an_answer_ends_with_its_completion(stub: expert_pb2_grpc.ExpertAsyncStub) -> None:
    chunks = [c async for c in stub.Generate(conversation("one two three", max_tokens=5), metadata=to("researcher"))]
    assert "".join(chunk.text for chunk in chunks) == "one two three one two"
    assert [chunk.HasField("completion") for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    end = chunks[-1].completion
    assert end.finish_reason == chat_pb2.FINISH_REASON_LENGTH
    assert (end.usage.prompt_tokens, end.usage.completion_tokens) == (3, 5)
    assert sum(chunk.token_count for chunk in chunks) == 5
    assert end.timings.decode_s == pytest.approx(0.008, abs=0.1)


@pytest.mark.parametrize(
    ("expert", "request_", "metadata", "code", "details"),
    [
        (
            "tool-caller",
            conversation("w " * 200),
            (),
            grpc.StatusCode.INVALID_ARGUMENT,
            "context_length_exceeded: the prompt leaves no room in the context window of 200 tokens: it has 200",
        ),
        (
            "researcher",
            conversation("hello", temperature=9),
            (),
            grpc.StatusCode.INVALID_ARGUMENT,
            "invalid_request: temperature must be between 0 and 2",
        ),
        (
            "advisor",
            expert_pb2.GenerateRequest(),
            (),
            grpc.StatusCode.INVALID_ARGUMENT,
            "invalid_request: there is neither a conversation nor a prompt",
        ),
        (
            "advisor",
            conversation("hello", max_tokens=ENDLESS),
            (("x-request-timeout-ms", "200"),),
            grpc.StatusCode.DEADLINE_EXCEEDED,
            "deadline_exceeded: the deadline passed",
        ),
    ],
)
async def test_errors_are_clean(
    stub: expert_pb2_grpc.ExpertAsyncStub,
    *,
    expert: str,
    request_: expert_pb2.GenerateRequest,
    metadata: tuple[tuple[str, str], ...],
    code: grpc.StatusCode,
    details: str,
) -> None:
    """The details are exactly ours: no traceback, process id or address of Ray's is in them."""
    error = await failure(stub.Generate(request_, metadata=to(expert, *metadata)))
    assert (error.code(), error.details()) == (code, details)


async def test_a_full_expert_refuses_and_still_describes_itself(stub: expert_pb2_grpc.ExpertAsyncStub) -> None:
    calls = [stub.Generate(conversation("a b"), metadata=to("tool-caller")) for _ in range(2)]
    await await_load(stub, "tool-caller", (1, 1))
    refused = await failure(stub.Generate(conversation("a"), metadata=to("tool-caller")))
    assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert refused.details() == "queue_full: 1 sequences run and 1 wait"
    for call in calls:
        call.cancel()
    await await_load(stub, "tool-caller", (0, 0))


async def _cancel_somewhere(stub: expert_pb2_grpc.ExpertAsyncStub, expert: str, chance: random.Random) -> None:
    call = stub.Generate(conversation("a b c", max_tokens=ENDLESS), metadata=to(expert))
    for _ in range(chance.randrange(1, 60)):
        assert isinstance(await call.read(), expert_pb2.GenerateChunk)
    await asyncio.sleep(chance.random() * 0.01)
    call.cancel()


@pytest.mark.parametrize(("expert", "at_once"), [("researcher", 1), ("researcher", 8), ("advisor", 8), ("advisor", 24)])
async def test_cancels_reach_the_engine(stub: expert_pb2_grpc.ExpertAsyncStub, expert: str, at_once: int) -> None:
    """Fast tokens show lost cancels, which slow ones hide: a lost one would run for minutes and be counted here."""
    trials, chance = 48, random.Random(at_once)
    before = await stub.Describe(expert_pb2.DescribeRequest(), metadata=to(expert))
    gate = asyncio.Semaphore(at_once)

    async def trial() -> None:
        async with gate:
            await _cancel_somewhere(stub, expert, chance)

    await asyncio.gather(*(trial() for _ in range(trials)))
    await await_load(stub, expert, (0, 0))
    after = await stub.Describe(expert_pb2.DescribeRequest(), metadata=to(expert))
    assert after.sequences_total - before.sequences_total == trials


async def test_a_client_that_drops_its_connection_frees_its_slots(moegate: Moegate) -> None:
    async with grpc.aio.insecure_channel(moegate.ingress) as gone:
        stub = moegate.stub(gone)
        calls = [stub.Generate(conversation("a", max_tokens=ENDLESS), metadata=to("researcher")) for _ in range(8)]
        await asyncio.gather(*(call.read() for call in calls))
    async with grpc.aio.insecure_channel(moegate.ingress) as channel:
        await await_load(moegate.stub(channel), "researcher", (0, 0))


def test_two_clusters_live_side_by_side_and_stopping_one_leaves_nothing(moegate: Moegate, tmp_path: Path) -> None:
    second = Experts(write_catalog(tmp_path, {"other": {}, "another": {}}), tmp_path)
    try:
        with grpc.insecure_channel(second.await_ready()) as channel:
            describe = expert_pb2_grpc.ExpertStub(channel).Describe
            assert describe(expert_pb2.DescribeRequest(), metadata=to("another")).expert == "another"
            with pytest.raises(grpc.RpcError):
                describe(expert_pb2.DescribeRequest(), metadata=to("researcher"))
        kinds = [event["event"] for event in second.events]
        ready = [event for event in second.events if event["event"] == "expert"]
        assert (kinds[0], kinds[-1]) == ("ray", "ready")
        assert {event["expert"] for event in ready} == {"other", "another"}
        assert all(event["state"] == "ready" and event["seconds"] > 0 for event in ready)
        assert len(second.left()) > 5
    finally:
        status, took_s = second.stop(signal.SIGTERM)
    assert (status, took_s < STOP_S, second.left()) == (0, True, {})
    with grpc.insecure_channel(moegate.ingress) as channel:
        first = moegate.stub(channel).Describe(expert_pb2.DescribeRequest(), metadata=to("researcher"))
    assert first.expert == "researcher"


def test_a_broken_catalogue_is_reported(tmp_path: Path) -> None:
    catalog = tmp_path / "experts.yaml"
    catalog.write_text("experts: []\ndefault: nobody\n")
    experts = Experts(catalog, tmp_path)
    with pytest.raises(AssertionError, match=r"experts\.yaml:1: experts: "):
        experts.await_ready()
    assert experts.process.wait(STOP_S) == 1
    experts.stop(signal.SIGTERM)
