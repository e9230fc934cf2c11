"""The gRPC handler: chunks out, typed errors as clean statuses, and the engine's generator closed in every case."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator
from typing import Any

import grpc
import pytest

from experts.catalog import ExpertSpec, Price, UsdPerMillion
from experts.deployment import STATUS_CODES, ExpertDeployment, InternalError
from experts.engine import (
    Capabilities,
    Completion,
    ContextLengthExceeded,
    DeadlineExceeded,
    EngineDead,
    EngineError,
    FinishReason,
    GenerationInput,
    InvalidRequest,
    Load,
    QueueFull,
    TokenDelta,
    Turn,
)
from protos import chat_pb2, expert_pb2

SPEC = ExpertSpec(
    name="poet",
    description="rhymes",
    base="pypi:none",
    context_window=64,
    system_prompt="Rhyme.",
    licence="MIT",
    price=Price(usd_per_million=UsdPerMillion(prompt=0, completion=0)),
)
END = Completion(FinishReason.STOP, 3, 2, 0.5, 0.25, 0.125, TokenDelta("b", 1))


class Context:
    def __init__(self, *metadata: tuple[str, str]) -> None:
        self.metadata = metadata
        self.code: grpc.StatusCode | None = None
        self.details = ""

    def set_code(self, code: grpc.StatusCode) -> None:
        self.code = code

    def set_details(self, details: str) -> None:
        self.details = details

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return self.metadata


class ScriptedEngine:
    """Yields its script; an exception in it is raised."""

    def __init__(self, *script: Any) -> None:
        self.script = script
        self.requests: list[GenerationInput] = []
        self.starts = self.closed = 0
        self.capabilities = Capabilities(4, 64, frozenset(), "hash")

    async def start(self) -> None:
        self.starts += 1

    async def stop(self) -> None: ...

    async def generate(self, request: GenerationInput) -> AsyncGenerator[TokenDelta | Completion, None]:
        self.requests.append(request)
        try:
            for item in self.script:
                if isinstance(item, Exception):
                    raise item
                yield item
        finally:
            self.closed += 1

    def load(self) -> Load:
        return Load(2, 1, 4)

    def sequences_total(self) -> int:
        return 7

    async def check_health(self) -> None:
        if self.script and isinstance(self.script[0], EngineDead):
            raise self.script[0]


def deploy(*script: Any) -> tuple[ExpertDeployment, ScriptedEngine]:
    engine = ScriptedEngine(*script)
    return ExpertDeployment(SPEC, lambda spec: engine), engine


def hello(**sampling: Any) -> expert_pb2.GenerateRequest:
    message = chat_pb2.Message(role=chat_pb2.ROLE_USER, content="hello")
    return expert_pb2.GenerateRequest(
        conversation=chat_pb2.Conversation(messages=[message]), sampling=chat_pb2.Sampling(**sampling)
    )


async def test_streams_chunks_and_a_completion() -> None:
    deployment, engine = deploy(TokenDelta("a", 1, prompt_tokens=3), END)
    taken_on, *chunks = [chunk async for chunk in deployment.Generate(hello(max_tokens=9), Context())]
    assert taken_on == expert_pb2.GenerateChunk()
    assert [(chunk.text, chunk.token_count, chunk.prompt_tokens) for chunk in chunks] == [("a", 1, 3), ("b", 1, 0)]
    assert not chunks[0].HasField("completion")
    completion = chunks[1].completion
    assert completion.finish_reason == chat_pb2.FINISH_REASON_STOP
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (3, 2)
    timings = completion.timings
    assert (timings.queue_s, timings.prefill_s, timings.decode_s) == (0.5, 0.25, 0.125)
    assert (completion.load.running, completion.load.waiting, completion.load.max_batch_size) == (2, 1, 4)
    [request] = engine.requests
    assert request.prompt == (Turn("system", "Rhyme."), Turn("user", "hello"))
    assert (request.sampling.max_tokens, request.deadline_s, engine.closed) == (9, None, 1)


async def test_a_raw_prompt_goes_through_as_it_is() -> None:
    deployment, engine = deploy(END)
    assert [_ async for _ in deployment.Generate(expert_pb2.GenerateRequest(prompt="Once"), Context())]
    assert engine.requests[0].prompt == "Once"


async def test_the_clients_timeout_is_the_deadline() -> None:
    deployment, engine = deploy(END)
    now_s = time.monotonic()
    assert [_ async for _ in deployment.Generate(hello(), Context(("x-request-timeout-ms", "1500")))]
    assert engine.requests[0].deadline_s == pytest.approx(now_s + 1.5, abs=0.2)


@pytest.mark.parametrize(
    ("error", "code", "slug"),
    [
        (InvalidRequest("why"), grpc.StatusCode.INVALID_ARGUMENT, "invalid_request"),
        (ContextLengthExceeded("why"), grpc.StatusCode.INVALID_ARGUMENT, "context_length_exceeded"),
        (QueueFull("why"), grpc.StatusCode.RESOURCE_EXHAUSTED, "queue_full"),
        (DeadlineExceeded("why"), grpc.StatusCode.DEADLINE_EXCEEDED, "deadline_exceeded"),
        (EngineDead("why"), grpc.StatusCode.UNAVAILABLE, "engine_dead"),
    ],
)
async def test_typed_errors_become_statuses(error: EngineError, code: grpc.StatusCode, slug: str) -> None:
    deployment, engine = deploy(TokenDelta("a", 1), error)
    context = Context()
    with pytest.raises(type(error)):
        assert [_ async for _ in deployment.Generate(hello(), context)]
    assert (context.code, context.details, engine.closed) == (code, f"{slug}: why", 1)


def test_every_error_has_a_status_of_its_own() -> None:
    def leaves(error: type[EngineError]) -> set[type[EngineError]]:
        return {error} | {leaf for child in error.__subclasses__() for leaf in leaves(child)}

    assert leaves(EngineError) - {EngineError} == set(STATUS_CODES)
    assert len({error.slug for error in STATUS_CODES}) == len(STATUS_CODES)


async def test_unforeseen_errors_say_nothing(caplog: pytest.LogCaptureFixture) -> None:
    deployment, engine = deploy(TokenDelta("a", 1), ValueError("the prompt was: secret"))
    context = Context()
    with caplog.at_level(logging.ERROR), pytest.raises(InternalError) as caught:
        assert [_ async for _ in deployment.Generate(hello(), context)]
    assert (context.code, context.details) == (grpc.StatusCode.INTERNAL, "internal error")
    assert (str(caught.value), caught.value.__suppress_context__, engine.closed) == ("internal error", True, 1)
    assert "ValueError < generate:" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    ("request_", "metadata", "details"),
    [
        (hello(temperature=9), (), "invalid_request: temperature must be between 0 and 2"),
        (expert_pb2.GenerateRequest(), (), "invalid_request: there is neither a conversation nor a prompt"),
        (hello(), (("x-request-timeout-ms", "soon"),), "invalid_request: x-request-timeout-ms is not a whole number"),
    ],
)
async def test_bad_requests_never_reach_the_engine(
    request_: expert_pb2.GenerateRequest, metadata: tuple[tuple[str, str], ...], details: str
) -> None:
    deployment, engine = deploy(END)
    context = Context(*metadata)
    with pytest.raises(InvalidRequest):
        assert [_ async for _ in deployment.Generate(request_, context)]
    assert context.code is grpc.StatusCode.INVALID_ARGUMENT
    assert context.details.startswith(details)
    assert engine.requests == []


async def test_a_client_that_leaves_closes_the_engines_generator() -> None:
    deployment, engine = deploy(TokenDelta("a", 1), TokenDelta("b", 1), END)
    stream = deployment.Generate(hello(), Context())
    assert [(await anext(stream)).text for _ in range(2)] == ["", "a"]
    await stream.aclose()
    assert engine.closed == 1


async def test_the_first_health_check_starts_the_engine() -> None:
    deployment, engine = deploy()
    await deployment.check_health()
    await deployment.check_health()
    assert engine.starts == 1


async def test_describes_itself() -> None:
    deployment, _ = deploy()
    described = await deployment.Describe(expert_pb2.DescribeRequest(), Context())
    assert described == expert_pb2.DescribeResponse(
        expert="poet",
        engine="openvino",
        context_window=64,
        load=expert_pb2.Load(running=2, waiting=1, max_batch_size=4),
        sequences_total=7,
        artifact="hash",
    )


async def test_a_dead_engine_does_not_describe_itself() -> None:
    deployment, _ = deploy(EngineDead("gone"))
    context = Context()
    with pytest.raises(EngineDead):
        await deployment.Describe(expert_pb2.DescribeRequest(), context)
    assert context.code is grpc.StatusCode.UNAVAILABLE
