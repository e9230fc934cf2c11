"""Asks one expert many questions through its engine, as a replica would: how `experts.evaluate` gets its answers.

Rendering, constraints, engine process and reading of tool calls are the same as in serving; only Ray and gRPC are left
out. As many sequences run at once as the engine batches. A question that the engine refuses (because it is too long,
for example) gets an empty answer that gives the reason.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace

from experts.catalog.spec import ExpertSpec
from experts.conversation.constraints import constrained
from experts.conversation.prompts import render_for
from experts.conversation.sampling import resolve_sampling
from experts.engine import (
    Completion,
    Engine,
    EngineDead,
    GenerationInput,
    InvalidRequest,
    Sampling,
)
from experts.evaluation.reply import ReplyListener
from experts.evaluation.suites.suite import Reply
from protos import chat_pb2

_ALONE_TOKENS = 64  # of one timed answer: enough for a steady pace


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for one question."""

    reply: Reply
    prompt_tokens: int
    completion_tokens: int
    finish: str  # stop, length, or the slug of the error that refused it


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast one answer alone came, by the clock of the process that asked the engine."""

    ttft_s: float  # asked to first text
    tokens_per_s: float  # from there to the last token


@asynccontextmanager
async def running(engine: Engine) -> AsyncIterator[None]:
    """Run an engine.

    Raises:
        EngineDead: it cannot start.
    """
    await engine.start()
    try:
        yield
    finally:
        await engine.stop()


def greedy(spec: ExpertSpec, max_tokens: int | None) -> Sampling:
    """Return the expert's own sampling with temperature 0, and another limit if one is given."""
    asked = chat_pb2.Sampling(temperature=0)
    if max_tokens is not None:
        asked.max_tokens = max_tokens
    return resolve_sampling(asked, spec)


async def ask_all(
    engine: Engine,
    spec: ExpertSpec,
    conversations: Sequence[chat_pb2.Conversation],
    sampling: Sampling,
    on_answer: Callable[[Answer], None],
) -> list[Answer]:
    """Answer every conversation, in order, `max_batch_size` at once; `on_answer` hears of each as it is complete.

    Raises:
        EngineDead: the engine failed on the way.
    """
    slots = asyncio.Semaphore(spec.max_batch_size)

    async def one(conversation: chat_pb2.Conversation) -> Answer:
        async with slots:
            answer = await ask(engine, spec, conversation, sampling)
        on_answer(answer)
        return answer

    return await asyncio.gather(*map(one, conversations))


async def ask(engine: Engine, spec: ExpertSpec, conversation: chat_pb2.Conversation, sampling: Sampling) -> Answer:
    """Answer one conversation.

    Raises:
        EngineDead: the engine failed.
    """
    try:
        request = _request(engine, spec, conversation, sampling)
        is_constrained = request.sampling.constraint is not None
        listener = ReplyListener(
            conversation,
            is_constrained=is_constrained,
            outcomes=spec.outcomes,
            asks_for_missing=spec.asks_for_missing,
        )
        async with aclosing(engine.generate(request)) as items:
            async for item in items:
                if isinstance(item, Completion):
                    reply = listener.close(item.tail.text, item.finish_reason)
                    return Answer(reply, item.prompt_tokens, item.completion_tokens, item.finish_reason)
                listener.push(item.text)
    except InvalidRequest as error:
        return Answer(Reply("", broken=1), 0, 0, error.slug)
    raise EngineDead("the engine ended an answer without completing it")


def _request(
    engine: Engine, spec: ExpertSpec, conversation: chat_pb2.Conversation, sampling: Sampling
) -> GenerationInput:
    """Prepare a request as `experts.cluster.deployment` does.

    Raises:
        InvalidRequest: it can never be served as it is.
    """
    turns = render_for(spec, conversation)
    return GenerationInput(turns, constrained(sampling, conversation, engine.capabilities))


async def time_alone(
    engine: Engine, spec: ExpertSpec, conversations: Sequence[chat_pb2.Conversation], sampling: Sampling
) -> list[Pace]:
    """Answer one conversation after the other, nothing beside it, and time each; what is refused is left out."""
    paces = []
    for conversation in conversations:
        began_s = time.perf_counter()
        first_s, tokens, tokens_at_first = 0.0, 0, 0
        try:
            request = _request(engine, spec, conversation, sampling)
            async with aclosing(engine.generate(request)) as items:
                async for item in items:
                    tokens += item.tail.token_count if isinstance(item, Completion) else item.token_count
                    if tokens and not first_s:
                        first_s, tokens_at_first = time.perf_counter(), tokens
        except InvalidRequest:
            continue
        ended_s = time.perf_counter()
        if tokens > tokens_at_first:
            paces.append(Pace(first_s - began_s, (tokens - tokens_at_first) / (ended_s - first_s)))
    return paces


def timed(sampling: Sampling) -> Sampling:
    """Return the sampling of a timed answer."""
    return replace(sampling, max_tokens=min(sampling.max_tokens, _ALONE_TOKENS))
