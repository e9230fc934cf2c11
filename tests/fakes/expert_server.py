"""Experts without Ray: one gRPC server that plays any number of them by script, told apart as Ray's ingress does.

Their words are read as a real replica reads them: tool calls and citations leave as such.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio

from experts.catalog.secret import Guard, Unauthenticated
from experts.conversation.answer import AnswerReader
from experts.engine import FinishReason
from protos import chat_pb2 as chat
from protos import expert_pb2 as pb
from protos.encoder_pb2_grpc import add_EncoderServicer_to_server
from protos.expert_pb2_grpc import ExpertServicer, add_ExpertServicer_to_server
from tests.fakes.encoder_server import FakeEncoder

Context = grpc.aio.ServicerContext[Any, Any]
PROMPT_TOKENS = 7  # whatever is asked


@dataclass
class Script:
    """How one expert behaves.

    Attributes:
        words: the tokens of its answer.
        declines_after: tokens after which it hands back, where it may; where it may not, its words are its answer.
        is_cut: it ends for want of tokens.
        structured_output: it says that it keeps to a response_format.
        silent_s: seconds before it takes a request on.
        replica: set when it has one; until then every call is held in silence, as Ray Serve's ingress does.
        begin_after_s: seconds from then until it begins on the prompt, and says so; None = it says so with the token.
        first_s: seconds from then to the first token.
        gate: no first token comes until it is set; as it is by default.
        beat_s: how often it says meanwhile that it is at work; None = it is silent.
        gap_s: seconds between tokens.
        pauses: tokens that it keeps to itself until their event is set, by place.
        queue_s: what it says, at the end, that the request waited for a slot.
        refuse: status (and details) in place of any token.
        break_after: after so many tokens the stream fails with INTERNAL, details like Ray's.
        lose: so many requests are lost on the way: UNAVAILABLE before anything is said.
        lose_begun: so many are lost after the expert has begun on them, without a token.
        is_down: `Describe` and `Generate` both answer UNAVAILABLE.
        requests, described, live, cancelled: what has happened so far.
    """

    words: list[str] = field(default_factory=lambda: ["Hello", " there", "!"])
    declines_after: int | None = None
    is_cut: bool = False
    structured_output: bool = False
    silent_s: float = 0.0
    replica: asyncio.Event = field(default_factory=lambda: _set(asyncio.Event()))
    begin_after_s: float | None = 0.0
    first_s: float = 0.0
    gate: asyncio.Event = field(default_factory=lambda: _set(asyncio.Event()))
    beat_s: float | None = None
    gap_s: float = 0.0
    pauses: dict[int, asyncio.Event] = field(default_factory=dict)
    queue_s: float = 0.0
    refuse: tuple[grpc.StatusCode, str] | None = None
    break_after: int | None = None
    lose: int = 0
    lose_begun: int = 0
    is_down: bool = False
    requests: list[pb.GenerateRequest] = field(default_factory=list)
    metadata: list[dict[str, str]] = field(default_factory=list)
    described: int = 0
    live: int = 0
    cancelled: int = 0


class FakeExperts(ExpertServicer):
    """The service, and its server."""

    def __init__(self, *names: str) -> None:
        self.scripts = {name: Script() for name in names}
        self.target = ""
        self.guard = Guard(None)
        self.encoder = FakeEncoder()
        self._server: grpc.aio.Server | None = None

    def __getitem__(self, name: str) -> Script:
        return self.scripts[name]

    async def start(self) -> None:
        self._server = grpc.aio.server()
        add_ExpertServicer_to_server(self, self._server)
        add_EncoderServicer_to_server(self.encoder, self._server)
        self.target = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        await self._server.start()

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(0)

    def words(self, script: Script, request: pb.GenerateRequest) -> list[str]:
        """The tokens of an answer."""
        return script.words

    async def Generate(self, request: pb.GenerateRequest, context: Context) -> AsyncIterator[pb.GenerateChunk]:
        script = await self._script(context)
        script.requests.append(request)
        script.metadata.append({key: str(value) for key, value in context.invocation_metadata() or ()})
        if script.refuse is not None:
            await context.abort(*script.refuse)
        if script.lose:
            script.lose -= 1
            await context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed at 10.0.0.1")
        script.live += 1
        try:
            async for chunk in self._play(script, request, context):
                yield chunk
        except (asyncio.CancelledError, GeneratorExit):  # the latter where a message was being sent
            script.cancelled += 1
            raise
        finally:
            script.live -= 1

    async def _play(
        self, script: Script, request: pb.GenerateRequest, context: Context
    ) -> AsyncIterator[pb.GenerateChunk]:
        await asyncio.sleep(script.silent_s)
        await script.replica.wait()
        yield pb.GenerateChunk()
        if script.begin_after_s is not None:
            await asyncio.sleep(script.begin_after_s)
            yield pb.GenerateChunk(prompt_tokens=PROMPT_TOKENS)
        if script.lose_begun:
            script.lose_begun -= 1
            await context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed at 10.0.0.1")
        left_s = script.first_s
        while script.beat_s is not None and left_s > script.beat_s:
            await asyncio.sleep(script.beat_s)
            left_s -= script.beat_s
            yield pb.GenerateChunk()
        await asyncio.sleep(left_s)
        await script.gate.wait()
        if script.declines_after is not None and request.may_hand_back:
            yield _handed_back(script.declines_after)
            return
        conversation = request.conversation if request.HasField("conversation") else None
        form = json.loads(request.reduced_schema or "{}") if script.structured_output else None
        reader = AnswerReader(conversation, is_constrained=False, form=form)
        words = self.words(script, request)
        for i, word in enumerate(words):
            if script.break_after == i:
                await context.abort(grpc.StatusCode.INTERNAL, "Traceback (most recent call last): 10.0.0.1 pid=7")
            await script.pauses.get(i, _PAST).wait()
            chunk = reader.push(word)
            chunk.token_count = 1
            chunk.logprobs.extend(likelihood(word, i, request.sampling))
            if i == 0 and script.begin_after_s is None:
                chunk.prompt_tokens = PROMPT_TOKENS
            yield chunk
            await asyncio.sleep(script.gap_s)
        last = reader.close("", FinishReason.LENGTH if script.is_cut else FinishReason.STOP)
        last.completion.usage.CopyFrom(chat.Usage(prompt_tokens=PROMPT_TOKENS, completion_tokens=len(words)))
        last.completion.load.CopyFrom(pb.Load(running=1, waiting=2, max_batch_size=4))
        last.completion.timings.queue_s = script.queue_s
        yield last

    async def Describe(self, request: pb.DescribeRequest, context: Context) -> pb.DescribeResponse:
        script = await self._script(context)
        script.described += 1
        await script.replica.wait()
        load = pb.Load(running=script.live, max_batch_size=4)
        return pb.DescribeResponse(load=load, structured_output=script.structured_output)

    async def _script(self, context: Context) -> Script:
        metadata = tuple(context.invocation_metadata() or ())
        try:
            self.guard.check(metadata)
        except Unauthenticated as error:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, str(error))
        script = self.scripts.get(str(dict(metadata).get("application")))
        if script is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such application")
        elif script.is_down:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "replica at 10.0.0.1:4444 is gone")
        assert script is not None
        return script


def likelihood(word: str, i: int, asked: chat.Sampling) -> list[chat.TokenLogprob]:
    """What is told of the token at place `i`, if that is wanted: of those likeliest there, it is the first."""
    own = chat.TokenLogprob(token=word.encode(), logprob=-0.25 * (i + 1))
    others = (chat.TokenLogprob(token=f"other{n}".encode(), logprob=-2.0 - n) for n in range(asked.top_logprobs))
    top = [own, *others][: asked.top_logprobs]
    return [chat.TokenLogprob(token=own.token, logprob=own.logprob, top=top)] if asked.logprobs else []


def _handed_back(tokens: int) -> pb.GenerateChunk:
    completion = pb.Completion(finish_reason=chat.FINISH_REASON_STOP, handed_back=True)
    completion.usage.CopyFrom(chat.Usage(prompt_tokens=PROMPT_TOKENS, completion_tokens=tokens))
    return pb.GenerateChunk(token_count=tokens, prompt_tokens=PROMPT_TOKENS, completion=completion)


def _set(event: asyncio.Event) -> asyncio.Event:
    event.set()
    return event


_PAST = _set(asyncio.Event())
