"""Asking an expert's engine as a replica would: in order, as many at once as it batches, refusals told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from experts.engine import Completion, EngineDead, FinishReason, GenerationInput, Sampling, TokenDelta, Turn
from experts.engines.echo import EchoEngine
from experts.evaluation.engine_client import Answer, ask, ask_all, greedy, running, time_alone, timed
from experts.evaluation.suites.suite import Reply
from protos import chat_pb2
from tests.experts.entries import expert_spec
from tests.fakes.scripted_engine import ScriptedEngine

SPEC = expert_spec(system_prompt="Say it again.", max_batch_size=2, engine_options={"tokens": 2})
PLAIN = Sampling(max_tokens=20)


def question(text: str, **parts: Any) -> chat_pb2.Conversation:
    return chat_pb2.Conversation(messages=[chat_pb2.Message(role=chat_pb2.ROLE_USER, content=text)], **parts)


def test_greedy_is_the_experts_own_sampling_without_chance() -> None:
    spec = expert_spec(sampling={"max_tokens": 9, "temperature": 0.7, "top_p": 0.5})
    assert greedy(spec, None) == Sampling(9, 0.0, 0.5)
    assert greedy(spec, 3).max_tokens == 3


async def test_an_answer_comes_whole_with_its_counts() -> None:
    answer = await ask(EchoEngine(SPEC), SPEC, question("one two three"), PLAIN)
    assert answer == Answer(Reply("one two"), prompt_tokens=6, completion_tokens=2, finish="stop")


async def test_an_expert_gets_its_system_prompt_and_its_sampling() -> None:
    engine = ScriptedEngine(Completion(FinishReason.LENGTH, 3, 1, 0, 0, 0, TokenDelta("x", 1)))
    assert (await ask(engine, SPEC, question("hi"), PLAIN)).finish == "length"
    [request] = engine.requests
    assert (request.prompt, request.sampling) == ((Turn("system", "Say it again."), Turn("user", "hi")), PLAIN)
    assert engine.closed == 1


@pytest.mark.parametrize(
    ("conversation", "slug"),
    [
        (question("word " * 100), "context_length_exceeded"),
        (
            question("hi", response_format=chat_pb2.ResponseFormat(type=chat_pb2.ResponseFormat.TYPE_JSON_OBJECT)),
            "unsupported_response_format",
        ),
    ],
)
async def test_a_refused_question_has_an_answer_that_says_why(conversation: chat_pb2.Conversation, slug: str) -> None:
    assert await ask(EchoEngine(SPEC), SPEC, conversation, PLAIN) == Answer(Reply("", broken=1), 0, 0, slug)


@pytest.mark.parametrize("script", [(TokenDelta("a", 1), EngineDead("it is gone")), (TokenDelta("a", 1),)])
async def test_an_engine_that_dies_ends_the_run(script: tuple[Any, ...]) -> None:
    with pytest.raises(EngineDead):
        await ask(ScriptedEngine(*script), SPEC, question("hi"), PLAIN)


class Crowded(ScriptedEngine):
    """Answers the last first, and counts who is there at once."""

    most = live = 0

    async def generate(self, request: GenerationInput) -> AsyncGenerator[TokenDelta | Completion, None]:
        self.live += 1
        self.most = max(self.most, self.live)
        text = request.prompt[-1].content
        for _ in range(30 - 3 * int(text)):
            await asyncio.sleep(0)
        self.live -= 1
        yield Completion(FinishReason.STOP, 1, 1, 0, 0, 0, TokenDelta(text, 1))


async def test_answers_keep_the_questions_order_and_are_heard_as_they_come() -> None:
    engine, heard = Crowded(), list[Answer]()
    answers = await ask_all(engine, SPEC, [question(str(n)) for n in range(8)], PLAIN, heard.append)
    assert [answer.reply.text for answer in answers] == [str(n) for n in range(8)]
    assert engine.most == SPEC.max_batch_size
    assert [answer.reply.text for answer in heard] != [str(n) for n in range(8)]
    assert sorted(heard, key=answers.index) == answers


class Paced(ScriptedEngine):
    """Waits a hundredth of a second before each thing that it tells."""

    async def generate(self, request: GenerationInput) -> AsyncGenerator[TokenDelta | Completion, None]:
        async for item in super().generate(request):
            await asyncio.sleep(0.01)
            yield item


async def test_a_pace_begins_at_the_first_token_and_no_sooner() -> None:
    end = Completion(FinishReason.STOP, 3, 105, 0, 0, 0, TokenDelta("", 1))
    prompt, token = TokenDelta("", 0, 3), TokenDelta("a", 2)
    engine = Paced(prompt, prompt, TokenDelta("a", 100), token, token, end)
    [pace] = await time_alone(engine, SPEC, [question("hi")], PLAIN)
    assert pace.ttft_s > 0.028  # two beats without a token, then the first hundred
    assert 0 < pace.tokens_per_s < 5 / 0.028  # the other five, three waits later


async def test_what_has_no_pace_is_left_out() -> None:
    single = ScriptedEngine(Completion(FinishReason.STOP, 3, 1, 0, 0, 0, TokenDelta("a", 1)))
    assert await time_alone(single, SPEC, [question("hi")], PLAIN) == []
    paces = await time_alone(EchoEngine(SPEC), SPEC, [question("word " * 100), question("one two")], PLAIN)
    assert len(paces) <= 1, "the refused one has none"


def test_a_timed_answer_is_short() -> None:
    assert timed(Sampling(1000, top_p=0.5)) == Sampling(64, top_p=0.5)
    assert timed(Sampling(9)) == Sampling(9)


async def test_an_engine_is_stopped_however_its_use_ends() -> None:
    engine = EchoEngine(SPEC)
    with pytest.raises(KeyError):
        async with running(engine):
            raise KeyError
    with pytest.raises(EngineDead):
        await engine.check_health()
