"""The gRPC handler: chunks out, typed errors as clean statuses, and the engine's generator closed in every case."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import replace
from typing import Any

import grpc
import pytest

from experts.catalog.prices import Price, UsdPerMillion
from experts.catalog.secret import METADATA_KEY, VARIABLE, Unauthenticated
from experts.catalog.spec import ExpertSpec
from experts.cluster.deployment import STATUS_CODES, ExpertDeployment, InternalError
from experts.engine import (
    Capabilities,
    Completion,
    ContextLengthExceeded,
    DeadlineExceeded,
    EngineDead,
    EngineError,
    FinishReason,
    InvalidRequest,
    JsonAnswer,
    QueueFull,
    TokenDelta,
    TokenLogprob,
    Turn,
    UnsupportedFormat,
)
from protos import chat_pb2, expert_pb2
from tests.fakes.scripted_engine import ScriptedEngine

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
        (UnsupportedFormat("why"), grpc.StatusCode.INVALID_ARGUMENT, "unsupported_response_format"),
        (QueueFull("why"), grpc.StatusCode.RESOURCE_EXHAUSTED, "queue_full"),
        (DeadlineExceeded("why"), grpc.StatusCode.DEADLINE_EXCEEDED, "deadline_exceeded"),
        (EngineDead("why"), grpc.StatusCode.UNAVAILABLE, "engine_dead"),
        (Unauthenticated("why"), grpc.StatusCode.UNAUTHENTICATED, "unauthenticated"),
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


async def test_an_expert_that_asks_for_missing_values_says_so_and_does() -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    told = hello().conversation
    told.messages[0].content = "What is the weather like?"
    told.tools.add(name="weather", parameters_json=json.dumps(schema))
    call = '<tool_call>{"name": "weather", "arguments": {"city": "Rome"}}</tool_call>'
    engine = ScriptedEngine(TokenDelta(call, 9, 4), replace(END, tail=TokenDelta("", 0)))
    deployment = ExpertDeployment(SPEC.model_copy(update={"asks_for_missing": True}), lambda _: engine)
    assert (await deployment.Describe(expert_pb2.DescribeRequest(), Context())).asks_for_missing
    chunks = [chunk async for chunk in deployment.Generate(expert_pb2.GenerateRequest(conversation=told), Context())]
    assert "".join(chunk.text for chunk in chunks) == "I need to know more: Please tell me the city."
    assert chunks[-1].completion.tool_calls == expert_pb2.ToolCallCounts(asked=1)


async def test_a_dead_engine_does_not_describe_itself() -> None:
    deployment, _ = deploy(EngineDead("gone"))
    context = Context()
    with pytest.raises(EngineDead):
        await deployment.Describe(expert_pb2.DescribeRequest(), context)
    assert context.code is grpc.StatusCode.UNAVAILABLE


async def said(deployment: ExpertDeployment, request: expert_pb2.GenerateRequest) -> list[expert_pb2.GenerateChunk]:
    return [chunk async for chunk in deployment.Generate(request, Context())][1:]


async def test_a_call_is_read_and_its_tokens_are_told_as_they_come() -> None:
    request = hello()
    request.conversation.tools.add(name="now")
    body = '<tool_call>{"name": "now", "arguments": {}}'
    deployment, _ = deploy(
        TokenDelta("<tool_", 2, prompt_tokens=3),
        TokenDelta(body.removeprefix("<tool_"), 9),
        Completion(FinishReason.STOP, 3, 12, 0, 0, 0, TokenDelta("</tool_call>", 1)),
    )
    first, second, last = await said(deployment, request)
    assert (first.text, first.token_count, first.prompt_tokens, list(first.tool_calls)) == ("", 2, 3, [])
    assert second.token_count == 9
    assert [(call.name, call.arguments) for call in second.tool_calls] == [("now", ""), ("", "{}")]
    assert second.tool_calls[0].id.startswith("call_")
    assert (last.text, last.token_count) == ("", 1)
    assert last.completion.finish_reason == chat_pb2.FINISH_REASON_TOOL_CALLS
    assert last.completion.tool_calls == expert_pb2.ToolCallCounts(ok=1)
    assert last.completion.usage.completion_tokens == 12


async def test_a_call_and_an_end_for_want_of_tokens() -> None:
    request = hello()
    request.conversation.tools.add(name="now")
    call = '<tool_call>{"name": "now", "arguments": {}}</tool_call>'
    deployment, _ = deploy(Completion(FinishReason.LENGTH, 3, 9, 0, 0, 0, TokenDelta(f"{call}\n<tool", 9)))
    [last] = await said(deployment, request)
    assert (last.text, [piece.name for piece in last.tool_calls]) == ("", ["now", ""])
    assert last.completion.finish_reason == chat_pb2.FINISH_REASON_LENGTH


async def test_citations_are_told_with_the_end() -> None:
    request = hello()
    request.conversation.documents.add(title="T", text="x", url="https://t.example")
    deployment, _ = deploy(
        TokenDelta("Rain [", 2), Completion(FinishReason.STOP, 3, 9, 0, 0, 0, TokenDelta("1][2] [1", 7))
    )
    first, last = await said(deployment, request)
    assert (first.text, last.text) == ("Rain ", "[1] [1")
    assert list(last.completion.annotations) == [
        chat_pb2.Annotation(start_index=5, end_index=8, document=1, title="T", url="https://t.example")
    ]
    assert last.completion.dropped_citations == 1
    assert not last.completion.HasField("tool_calls")


async def test_tags_and_brackets_are_words_where_nothing_was_offered() -> None:
    text = '<tool_call>{"name": "now", "arguments": {}}</tool_call> [7]'
    for request in (hello(), expert_pb2.GenerateRequest(prompt="Once")):
        deployment, _ = deploy(TokenDelta(text, 2), END)
        chunks = await said(deployment, request)
        assert "".join(chunk.text for chunk in chunks) == text + "b"


async def test_an_engine_without_structured_output_refuses_a_response_format_by_name() -> None:
    request = hello()
    request.conversation.response_format.type = chat_pb2.ResponseFormat.TYPE_JSON_OBJECT
    deployment, engine = deploy(END)
    context = Context()
    with pytest.raises(UnsupportedFormat):
        assert [_ async for _ in deployment.Generate(request, context)]
    assert (context.code, engine.requests) == (grpc.StatusCode.INVALID_ARGUMENT, [])
    assert context.details.startswith("unsupported_response_format: ")


async def test_an_engine_with_structured_output_gets_the_constraint() -> None:
    request = hello()
    request.conversation.response_format.type = chat_pb2.ResponseFormat.TYPE_JSON_OBJECT
    deployment, engine = deploy(END)
    engine.capabilities = Capabilities(4, 64, frozenset({"constraint"}), "hash")
    await said(deployment, request)
    assert engine.requests[0].sampling.constraint == JsonAnswer('{"type": "object"}')
    assert engine.requests[0].sampling.temperature == 0  # a value drawn by lot is a wrong one
    assert (await deployment.Describe(expert_pb2.DescribeRequest(), Context())).structured_output


BOUNDED = {"type": "object", "properties": {"v": {"type": "number", "maximum": 1}}, "required": ["v"]}


def formed(schema: object, *, strict: bool = True, whole: bool = True, **sampling: Any) -> expert_pb2.GenerateRequest:
    request = hello(**sampling)
    wanted = request.conversation.response_format
    wanted.type, wanted.schema_json = chat_pb2.ResponseFormat.TYPE_JSON_SCHEMA, json.dumps(schema)
    wanted.strict, request.whole = strict, whole
    return request


def ends(text: str, finish: FinishReason = FinishReason.STOP) -> tuple[TokenDelta, Completion]:
    return TokenDelta(text[:3], 2, prompt_tokens=3), Completion(finish, 3, 5, 1, 2, 4, TokenDelta(text[3:], 3))


def able(*scripts: tuple[Any, ...]) -> tuple[ExpertDeployment, ScriptedEngine]:
    """An engine that keeps to forms and follows one script after the other."""
    deployment, engine = deploy()
    engine.capabilities = Capabilities(4, 64, frozenset({"constraint"}), "hash")
    engine.scripts = list(scripts)
    return deployment, engine


GOOD, BAD = '{"v": 0.5}', '{"v": 1.5}'
OK, AGAIN = chat_pb2.FORM_OUTCOME_OK, chat_pb2.FORM_OUTCOME_SECOND_ATTEMPT
INVALID, CUT = chat_pb2.FORM_OUTCOME_INVALID, chat_pb2.FORM_OUTCOME_CUT


@pytest.mark.parametrize(
    ("scripts", "text", "outcome"),
    [
        ([ends(GOOD)], GOOD, OK),
        ([ends(BAD), ends(GOOD)], GOOD, AGAIN),
        ([ends(BAD), ends(BAD)], BAD, INVALID),
        ([ends('{"v": 0.5, "v": 0.5}'), ends(GOOD)], GOOD, AGAIN),
        ([ends('{"v": 1e999}'), ends("[" * 5000)], "[" * 5000, INVALID),
        ([ends('{"v": ', FinishReason.LENGTH), ends('{"v"', FinishReason.LENGTH)], '{"v"', INVALID),
        ([ends(BAD), ends('{"v"', FinishReason.LENGTH)], '{"v"', INVALID),
    ],
)
async def test_a_strict_answer_is_made_once_more_where_nobody_has_read_it(
    scripts: list[tuple[Any, ...]], text: str, outcome: chat_pb2.FormOutcome
) -> None:
    deployment, engine = able(*scripts)
    chunks = await said(deployment, formed(BOUNDED, max_tokens=20, seed=7, temperature=0))
    assert ("".join(chunk.text for chunk in chunks), chunks[-1].completion.form) == (text, outcome)
    attempts = len(scripts)
    assert (len(engine.requests), engine.closed) == (attempts, attempts)
    assert sum(chunk.token_count for chunk in chunks) == chunks[-1].completion.usage.completion_tokens == 5 * attempts
    assert sum(chunk.prompt_tokens for chunk in chunks) == chunks[-1].completion.usage.prompt_tokens == 3
    assert chunks[-1].completion.timings.decode_s == 4 * attempts
    for first, second in zip(engine.requests, engine.requests[1:], strict=False):
        assert (second.sampling.max_tokens, second.sampling.seed) == (15, 8)
        assert second.sampling.temperature > first.sampling.temperature


@pytest.mark.parametrize(
    ("request_", "script", "outcome"),
    [
        (formed(BOUNDED, whole=False), ends(BAD), INVALID),  # it is being read: nothing can be taken back
        (formed(BOUNDED, strict=False), ends(BAD), INVALID),
        (formed(BOUNDED, max_tokens=5), ends(BAD), INVALID),  # no tokens are left
        (formed(BOUNDED, max_tokens=5), ends('{"v": 0.', FinishReason.LENGTH), CUT),
        (formed(BOUNDED, max_tokens=5), ends(GOOD, FinishReason.LENGTH), OK),
        (formed(BOUNDED, whole=False), ends(GOOD), OK),
    ],
)
async def test_otherwise_the_verdict_is_told(
    request_: expert_pb2.GenerateRequest, script: tuple[Any, ...], outcome: chat_pb2.FormOutcome
) -> None:
    deployment, engine = able(script)
    chunks = await said(deployment, request_)
    assert (len(engine.requests), chunks[-1].completion.form) == (1, outcome)


async def test_json_is_not_searched_for_citations() -> None:
    request = formed({"type": "array"})
    request.conversation.documents.add(title="T", text="x")
    deployment, _ = able(ends("[7, [1]]"))
    chunks = await said(deployment, request)
    assert "".join(chunk.text for chunk in chunks) == "[7, [1]]"
    assert (chunks[-1].completion.form, chunks[-1].completion.dropped_citations) == (OK, 0)


async def test_a_client_that_leaves_between_attempts_frees_the_engine() -> None:
    deployment, engine = able(ends(BAD), ends(GOOD))
    stream = deployment.Generate(formed(BOUNDED, max_tokens=20), Context())
    assert [(await anext(stream)).token_count for _ in range(3)] == [0, 2, 3]
    await stream.aclose()
    assert engine.closed == len(engine.requests) == 1


@pytest.mark.parametrize("metadata", [(), ((METADATA_KEY, "a guess"),), (("application", "poet"),)])
async def test_who_lacks_the_secret_learns_nothing(
    monkeypatch: pytest.MonkeyPatch, metadata: tuple[tuple[str, str], ...]
) -> None:
    monkeypatch.setenv(VARIABLE, "the secret of this run")
    deployment, engine = deploy(END)
    context = Context(*metadata)
    with pytest.raises(Unauthenticated):  # also for a request that is wrong in itself
        assert [_ async for _ in deployment.Generate(hello(temperature=9), context)]
    with pytest.raises(Unauthenticated):
        await deployment.Describe(expert_pb2.DescribeRequest(), context)
    assert context.code is grpc.StatusCode.UNAUTHENTICATED
    assert context.details == "unauthenticated: the experts' secret is missing or wrong"
    assert engine.requests == []


async def test_who_knows_the_secret_is_served_and_not_told_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "the secret of this run")
    deployment, engine = deploy(END)
    context = Context((METADATA_KEY, "the secret of this run"))
    chunks = [chunk async for chunk in deployment.Generate(hello(), context)]
    described = await deployment.Describe(expert_pb2.DescribeRequest(), context)
    assert (len(engine.requests), described.expert) == (1, "poet")
    assert "the secret" not in f"{chunks} {described} {vars(context)['details']}"


async def test_health_is_rays_to_ask_without_the_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "the secret of this run")
    deployment, engine = deploy(END)
    await deployment.check_health()
    assert engine.starts == 1


async def test_log_probabilities_go_with_what_they_are_of() -> None:
    first, last = TokenLogprob(b"<tool", -0.5, (TokenLogprob(b"x", -2.0),)), TokenLogprob(b"ed.", -1.0)
    end = replace(END, tail=TokenDelta("ed.", 1, 0, (last,)))
    deployment, engine = deploy(TokenDelta("<tool", 1, 3, (first,)), end)
    request = hello(logprobs=True)
    request.conversation.tools.add(name="add")
    _, held, whole = [chunk async for chunk in deployment.Generate(request, Context())]
    assert (held.text, list(held.logprobs)) == ("", [])  # it may become a call
    assert whole.text == "<tooled."
    assert [(token.token, token.logprob) for token in whole.logprobs] == [(b"<tool", -0.5), (b"ed.", -1.0)]
    assert [one.token for one in whole.logprobs[0].top] == [b"x"]
    assert engine.requests[0].sampling.logprobs
