"""A second attempt at an answer that broke its form: what is asked, what is told, and what is paid."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experts.conversation.attempts import generate_checked
from experts.conversation.structured import follows
from experts.engine import (
    HEARTBEAT,
    Completion,
    EngineDead,
    FinishReason,
    GenerationInput,
    JsonAnswer,
    QueueFull,
    Sampling,
    TokenDelta,
    TokenLogprob,
)
from tests.fakes.scripted_engine import ScriptedEngine

FORM = {"type": "array", "items": {"type": "boolean"}}
GOOD, BAD = "[true]", "[0, 1]"


def script(text: str, finish: FinishReason = FinishReason.STOP, scale: int = 1) -> tuple[TokenDelta | Completion, ...]:
    """An answer of five tokens; its times are `scale`, 2 * `scale` and 4 * `scale` seconds."""
    end = Completion(finish, 7, 5, scale, 2 * scale, 4 * scale, TokenDelta(text[3:], 2))
    return TokenDelta("", 0, 7), TokenDelta(text[:3], 3), HEARTBEAT, end


def asked(**sampling: Any) -> GenerationInput:
    return GenerationInput("Once", Sampling(**{"max_tokens": 20, **sampling}), deadline_s=99.0)


async def items_of(engine: ScriptedEngine, request: GenerationInput) -> list[TokenDelta | Completion]:
    return [item async for item in generate_checked(engine, request, is_good)]


def is_good(text: str) -> bool:
    return follows(text, FORM)


def engine_of(*scripts: tuple[Any, ...]) -> ScriptedEngine:
    engine = ScriptedEngine()
    engine.scripts = list(scripts)
    return engine


async def test_a_good_answer_is_told_at_its_end_and_made_once() -> None:
    engine = engine_of(script(GOOD))
    *deltas, end = await items_of(engine, asked())
    assert [delta.text for delta in deltas if isinstance(delta, TokenDelta)] == [""] * 3  # the heartbeat among them
    assert isinstance(end, Completion)
    assert (end.tail, end.attempts, end.finish_reason) == (TokenDelta(GOOD, 2), 1, FinishReason.STOP)
    assert len(engine.requests) == engine.closed == 1


async def test_the_second_answer_carries_the_work_of_both() -> None:
    engine = engine_of(script(BAD), script(GOOD, FinishReason.LENGTH, scale=10))
    *deltas, end = await items_of(engine, asked())
    assert isinstance(end, Completion)
    assert end == Completion(FinishReason.LENGTH, 7, 10, 11, 22, 44, TokenDelta(GOOD, 2), attempts=2)
    told = [delta for delta in deltas if isinstance(delta, TokenDelta)]
    assert sum(delta.token_count for delta in told) + end.tail.token_count == end.completion_tokens
    assert sum(delta.prompt_tokens for delta in told) == 7
    assert not any(delta.text for delta in told)
    assert engine.closed == 2


async def test_the_last_attempt_is_told_whatever_it_is() -> None:
    *_, end = await items_of(engine_of(script(BAD), script("[nul]")), asked())
    assert isinstance(end, Completion)
    assert (end.tail.text, end.attempts) == ("[nul]", 2)


async def test_the_second_attempt_asks_the_same_with_the_tokens_that_are_left() -> None:
    engine = engine_of(script(BAD), script(GOOD))
    constraint = JsonAnswer('{"type": "array"}')
    await items_of(engine, asked(max_tokens=6, top_p=0.5, stop=("x",), constraint=constraint))
    first, second = engine.requests
    assert (second.prompt, second.deadline_s) == (first.prompt, first.deadline_s)
    assert second.sampling == Sampling(1, 0.7, 0.5, None, ("x",), constraint=constraint)


async def test_without_a_token_left_there_is_no_second_attempt() -> None:
    engine = engine_of(script(BAD))
    *_, end = await items_of(engine, asked(max_tokens=5))
    assert isinstance(end, Completion)
    assert (end.tail.text, end.attempts, len(engine.requests)) == (BAD, 1, 1)


@given(st.floats(0, 2), st.none() | st.integers(0, 2**63 - 1))
async def test_the_second_attempt_chooses_otherwise_and_repeatably(temperature: float, seed: int | None) -> None:
    engine = engine_of(script(BAD), script(GOOD))
    await items_of(engine, asked(temperature=temperature, seed=seed))
    second = engine.requests[1].sampling
    assert second.temperature >= max(temperature, 0.1)
    assert (second.seed is None) == (seed is None)
    assert seed is None or (second.seed != seed and 0 <= (second.seed or 0) < 2**63)


async def test_an_engine_that_ends_without_a_completion_is_not_asked_again() -> None:
    engine = engine_of(script(BAD)[:-1])
    assert not any(isinstance(item, Completion) for item in await items_of(engine, asked()))
    assert len(engine.requests) == 1


@pytest.mark.parametrize(("error", "attempt"), [(QueueFull("full"), 1), (EngineDead("gone"), 2)])
async def test_an_engines_error_passes_through_and_its_generator_is_closed(error: Exception, attempt: int) -> None:
    engine = engine_of(*[script(BAD), (TokenDelta("[", 1), error)][2 - attempt :])
    with pytest.raises(type(error)):
        await items_of(engine, asked())
    assert len(engine.requests) == engine.closed == attempt


async def test_who_leaves_closes_the_engines_generator() -> None:
    engine = engine_of(script(GOOD))
    async with aclosing(generate_checked(engine, asked(), is_good)) as items:
        await anext(items)
    assert engine.closed == 1


async def test_the_answer_that_is_told_brings_its_own_log_probabilities() -> None:
    def logged(text: str) -> tuple[TokenDelta | Completion, ...]:
        first, last = (TokenLogprob(piece.encode(), -1.0) for piece in (text[:3], text[3:]))
        end = Completion(FinishReason.STOP, 7, 2, 0, 0, 0, TokenDelta(text[3:], 1, 0, (last,)))
        return TokenDelta(text[:3], 1, 7, (first,)), end

    *deltas, end = await items_of(engine_of(logged(BAD), logged(GOOD)), asked(logprobs=True))
    assert not any(delta.logprobs for delta in deltas if isinstance(delta, TokenDelta))
    assert isinstance(end, Completion)
    assert b"".join(token.token for token in end.tail.logprobs).decode() == GOOD
