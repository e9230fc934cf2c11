"""One expert's gRPC handler, as Ray Serve runs it in each replica: `moegate.expert.v1.Expert`.

`experts.app` wraps this plain class in a deployment; nothing here knows Ray. A request is checked and rendered, goes to
the engine, and comes back in chunks. Typed errors become a status code and details that begin with a stable slug. Any
other error becomes INTERNAL "internal error" and is logged without its message, because Ray would otherwise send the
client a traceback.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager, suppress
from functools import partial
from typing import Protocol

import grpc

from experts.catalog.secret import Guard, Unauthenticated, secret_from_environment
from experts.catalog.spec import ExpertSpec
from experts.conversation.answer import AnswerReader
from experts.conversation.attempts import generate_checked
from experts.conversation.constraints import constrained
from experts.conversation.hand_back import may_hand_back, until_decided
from experts.conversation.prompts import complete_for, render_for
from experts.conversation.sampling import resolve_sampling
from experts.conversation.structured import keeps_form
from experts.encoders.encoder import NoCollection, StoreFailed, TextTooLong
from experts.engine import (
    Completion,
    ContextLengthExceeded,
    DeadlineExceeded,
    Engine,
    EngineDead,
    EngineError,
    GenerationInput,
    InvalidRequest,
    QueueFull,
    Sampling,
    ServerUnavailable,
    TokenDelta,
    TokenLogprob,
    ToolAnswer,
    UnsupportedFormat,
)
from experts.engines.failures import describe_failure
from experts.json_schema.conformance import Schema
from protos import chat_pb2, expert_pb2

_log = logging.getLogger("moegate.expert")

TIMEOUT_KEY = "x-request-timeout-ms"
STATUS_CODES: dict[type[EngineError], grpc.StatusCode] = {
    InvalidRequest: grpc.StatusCode.INVALID_ARGUMENT,
    ContextLengthExceeded: grpc.StatusCode.INVALID_ARGUMENT,
    UnsupportedFormat: grpc.StatusCode.INVALID_ARGUMENT,
    TextTooLong: grpc.StatusCode.INVALID_ARGUMENT,
    NoCollection: grpc.StatusCode.NOT_FOUND,
    StoreFailed: grpc.StatusCode.UNAVAILABLE,
    QueueFull: grpc.StatusCode.RESOURCE_EXHAUSTED,
    DeadlineExceeded: grpc.StatusCode.DEADLINE_EXCEEDED,
    ServerUnavailable: grpc.StatusCode.UNAVAILABLE,
    EngineDead: grpc.StatusCode.UNAVAILABLE,
    Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
}


class CallContext(Protocol):
    """What this handler uses of Ray's gRPC context."""

    def set_code(self, code: grpc.StatusCode) -> None:
        """Set the status that goes out when the handler raises."""

    def set_details(self, details: str) -> None:
        """Set the text that goes with it."""

    def invocation_metadata(self) -> Sequence[tuple[str, str | bytes]]:
        """Return the client's metadata."""


class InternalError(Exception):
    """What the client sees of a failure that nobody foresaw."""


class ExpertDeployment:
    """Serves one expert from one engine."""

    def __init__(self, spec: ExpertSpec, engine_factory: Callable[[ExpertSpec], Engine]) -> None:
        self._spec = spec
        self._guard = Guard(secret_from_environment())
        self._engine = engine_factory(spec)
        self._has_started = False

    async def check_health(self) -> None:
        """Raise when the replica must be replaced.

        Ray asks once before it lets any request in and waits for the answer: that first time starts the engine.
        """
        if not self._has_started:
            await self._engine.start()
            self._has_started = True
        with suppress(ServerUnavailable):  # a new replica would not mend it; `Describe` says so
            await self._engine.check_health()

    async def Generate(  # Ray finds the method by its RPC's name
        self, request: expert_pb2.GenerateRequest, grpc_context: CallContext
    ) -> AsyncGenerator[expert_pb2.GenerateChunk, None]:
        """Stream an answer; the last chunk carries the completion."""
        with errors_as_status(grpc_context):
            self._guard.check(grpc_context.invocation_metadata())
            with _failures_are_the_requests():
                generation = self._read(request, grpc_context)
                form = _form(generation.sampling)
                reader = self._reader(request, generation.sampling, form)
                untold: list[TokenLogprob] = []
            # Closing is explicit: a client that goes away while a chunk is being sent must still free its slot.
            async with aclosing(self._generate(request, generation, form)) as items:
                yield expert_pb2.GenerateChunk()  # taken on: silence before it means that there is no replica
                async for item in items:
                    yield self._chunk(item, reader, untold)

    async def Describe(  # Ray finds the method by its RPC's name
        self,
        request: expert_pb2.DescribeRequest,  # Ray passes it
        grpc_context: CallContext,
    ) -> expert_pb2.DescribeResponse:
        """Say what this expert is and how busy this replica of it is."""
        with errors_as_status(grpc_context):
            self._guard.check(grpc_context.invocation_metadata())
            await self._engine.check_health()
            capabilities = self._engine.capabilities
            return expert_pb2.DescribeResponse(
                expert=self._spec.name,
                engine=self._spec.engine,
                context_window=capabilities.context_window,
                load=self._load(),
                sequences_total=self._engine.sequences_total(),
                artifact=capabilities.artifact,
                structured_output="constraint" in capabilities.sampling,
                asks_for_missing=self._spec.asks_for_missing,
            )

    def _generate(
        self, request: expert_pb2.GenerateRequest, generation: GenerationInput, form: Schema | None
    ) -> AsyncGenerator[TokenDelta | Completion, None]:
        if form is not None and request.whole and request.conversation.response_format.strict:
            may_call = isinstance(generation.sampling.constraint, ToolAnswer)
            return generate_checked(self._engine, generation, partial(keeps_form, schema=form, may_call=may_call))
        items = self._engine.generate(generation)
        return until_decided(items, stops=generation.sampling.stop) if may_hand_back(self._spec, request) else items

    def _read(self, request: expert_pb2.GenerateRequest, context: CallContext) -> GenerationInput:
        sampling = resolve_sampling(request.sampling, self._spec, is_exact=_is_form(request))
        deadline_s = read_deadline(context.invocation_metadata(), time.monotonic())
        match request.WhichOneof("input"):
            case "conversation":
                turns = render_for(self._spec, request.conversation)
                capabilities = self._engine.capabilities
                sampling = constrained(sampling, request.conversation, capabilities, request.reduced_schema)
                whole = complete_for(self._spec, request.conversation) if capabilities.takes_conversations else None
                return GenerationInput(turns, sampling, deadline_s, whole)
            case "prompt":
                return GenerationInput(request.prompt, sampling, deadline_s)
            case _:
                raise InvalidRequest("there is neither a conversation nor a prompt")

    def _reader(self, request: expert_pb2.GenerateRequest, sampling: Sampling, form: Schema | None) -> AnswerReader:
        conversation = request.conversation if request.HasField("conversation") else None
        is_constrained = sampling.constraint is not None
        return AnswerReader(
            conversation,
            is_constrained=is_constrained,
            form=form,
            outcomes=self._spec.outcomes,
            asks_for_missing=self._spec.asks_for_missing,
            is_told_of_plans=not self._engine.capabilities.takes_conversations,  # others' APIs know none
        )

    def _chunk(
        self, item: TokenDelta | Completion, reader: AnswerReader, untold: list[TokenLogprob]
    ) -> expert_pb2.GenerateChunk:
        """Make a message; log probabilities wait in `untold` until something of the answer goes."""
        if isinstance(item, TokenDelta):
            return _told(reader.push(item.text), item, untold)
        chunk = _told(reader.close(item.tail.text, item.finish_reason, item.attempts), item.tail, untold)
        completion = expert_pb2.Completion(
            usage=chat_pb2.Usage(
                prompt_tokens=item.prompt_tokens,
                completion_tokens=item.completion_tokens,
                estimated=item.is_estimated,
            ),
            timings=expert_pb2.EngineTimings(queue_s=item.queue_s, prefill_s=item.prefill_s, decode_s=item.decode_s),
            load=self._load(),
            handed_back=item.handed_back,
        )
        chunk.completion.MergeFrom(completion)
        return chunk

    def _load(self) -> expert_pb2.Load:
        load = self._engine.load()
        return expert_pb2.Load(running=load.running, waiting=load.waiting, max_batch_size=load.max_batch_size)


def _is_form(request: expert_pb2.GenerateRequest) -> bool:
    """Say whether the answer is to be JSON."""
    return request.conversation.response_format.type != chat_pb2.ResponseFormat.TYPE_TEXT


def _form(sampling: Sampling) -> Schema | None:
    """Return what the answer's words are to follow, if they are to be JSON."""
    form = sampling.constraint.form if sampling.constraint is not None else None
    return None if form is None else json.loads(form)


def _told(chunk: expert_pb2.GenerateChunk, delta: TokenDelta, untold: list[TokenLogprob]) -> expert_pb2.GenerateChunk:
    """Tell what was generated, also where nothing of it may leave yet."""
    chunk.token_count, chunk.prompt_tokens = delta.token_count, delta.prompt_tokens
    untold += delta.logprobs
    if untold and (chunk.text or chunk.tool_calls or chunk.HasField("completion")):
        chunk.logprobs.extend(map(_logprob, untold))
        untold.clear()
    return chunk


def _logprob(told: TokenLogprob) -> chat_pb2.TokenLogprob:
    return chat_pb2.TokenLogprob(token=told.token, logprob=told.logprob, top=map(_logprob, told.top))


@contextmanager
def _failures_are_the_requests() -> Iterator[None]:
    """Refuse a request that cannot be read: reading depends on nothing but it, so any other replica fails as well."""
    try:
        yield
    except EngineError:
        raise
    except Exception as error:  # whatever a text can do to a parser or a template
        _log.error("a request could not be read: %s", describe_failure(error))
        raise InvalidRequest("the request cannot be read") from None


@contextmanager
def errors_as_status(context: CallContext) -> Iterator[None]:
    """Give the client a status it may see; what is raised holds nothing else, since Ray logs it.

    Raises:
        EngineError: as it came.
        InternalError: in place of anything else.
    """
    try:
        yield
    except EngineError as error:
        context.set_code(STATUS_CODES.get(type(error), grpc.StatusCode.INTERNAL))
        context.set_details(f"{error.slug}: {error}")
        raise
    except Exception as error:  # the edge of the replica: nothing unforeseen may reach the client
        _log.error("a request failed: %s", describe_failure(error))
        context.set_code(grpc.StatusCode.INTERNAL)
        context.set_details("internal error")
        raise InternalError("internal error") from None


def read_deadline(metadata: Sequence[tuple[str, str | bytes]], now_s: float) -> float | None:
    """Return the monotonic second at which the client stops waiting, if it said so.

    Raises:
        InvalidRequest: it said so, and not in milliseconds.
    """
    text = next((value for key, value in metadata if key == TIMEOUT_KEY), None)
    if text is None:
        return None
    try:
        timeout_ms = int(text)
    except ValueError:
        raise InvalidRequest(f"{TIMEOUT_KEY} is not a whole number of milliseconds") from None
    return now_s + timeout_ms / 1000
