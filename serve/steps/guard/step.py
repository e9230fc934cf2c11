"""The guard as a step: rules look at a request before it is routed, and at its answer on the way back.

The order of things: what is blocked is told apart by rule alone, never by its text. A masked request goes on with names
in the place of what was found; where a rule says so, the caller gets the things themselves back in the answer.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from typing import Final

from protos import chat_pb2 as chat
from protos import expert_pb2 as pb
from serve.errors import UnsupportedParameter
from serve.request import ChatRequest
from serve.steps.guard.answer import GuardedAnswer
from serve.steps.guard.called.answer import JudgedAnswer, Services
from serve.steps.guard.compiled import BrokenRule
from serve.steps.guard.hold import Hold
from serve.steps.guard.in_force import GuardRules
from serve.steps.guard.looks import Kept, Looks
from serve.steps.guard.masks import Masks
from serve.steps.guard.rules import Stage
from serve.steps.guard.tally import Tally, blocked
from serve.steps.step import Step, Wake
from serve.telemetry.metrics.guard import GuardMetrics
from serve.telemetry.record import RequestRecord

NAME: Final = "guard"


class GuardStep(Step):
    """Carries the rules out; they may change while it serves, and a request keeps those that it began with."""

    def __init__(self, rules: GuardRules, metrics: GuardMetrics, *, prompts: dict[str, str] | None = None) -> None:
        """`prompts`: the experts' own system prompts, by name."""
        self._rules = rules
        self._metrics = metrics
        self._prompts = prompts or {}

    async def prepare(self, request: ChatRequest, record: RequestRecord) -> ChatRequest:
        """Look at what came in, and mask it.

        Raises:
            ContentBlocked: a rule blocks the request, or cannot be carried out and fails closed.
            UnsupportedParameter: it asks for log probabilities of an answer that may be changed.
        """
        began = time.perf_counter()
        rules = self._rules.current
        if request.sampling.logprobs and rules.changes_answers:
            message = "'logprobs': this gateway guards its answers, and the tokens would tell what it takes out"
            raise UnsupportedParameter(message, param="logprobs")
        kept = record.of_step[self] = Kept(rules, Masks(), Tally(self._metrics))
        looks = Looks.of(rules, request.caller.name)
        if looks is None:
            return request
        try:
            return await looks.over(request, kept)
        except BrokenRule as broken:
            raise blocked(broken.rule, Stage.INPUT) from None
        finally:
            self._metrics.seconds.observe(time.perf_counter() - began)
            record.note(NAME, kept.tally.facts)

    def present(
        self, chunks: AsyncIterator[pb.GenerateChunk], request: ChatRequest, record: RequestRecord, wake: Wake
    ) -> AsyncIterator[pb.GenerateChunk]:
        """Look at the answer, hold back what may become a finding, and put back what may be restored."""
        kept: Kept = record.of_step[self]
        inspector = kept.rules.at(
            Stage.OUTPUT,
            key=request.caller.name,
            expert=record.expert,
            prompts=self._prompts_of(request, record.expert),
        )
        called = kept.rules.asked_about_answers(request.caller.name, record.expert)
        if inspector is None and called is None and not kept.masks.can_restore:
            return chunks
        hold = Hold(kept.rules.hold_s, wake)
        kept.answer = GuardedAnswer(inspector, kept.rules, kept.masks, kept.tally, clock=hold.clock)
        if called is not None:
            services = Services(called, kept.rules.rules, _newest_turn(request.input))
            kept.judged = JudgedAnswer(services, kept.masks, kept.tally, clock=hold.clock)
        return _guarded(chunks, kept.answer, kept.judged, hold, record)

    def conclude(self, completion: pb.Completion, request: ChatRequest, record: RequestRecord) -> pb.Completion:
        """Move the citations to where they are in the text that has gone out."""
        kept: Kept = record.of_step[self]
        answer = kept.answer
        if answer is None or not completion.annotations:
            return completion
        moved = pb.Completion()
        moved.CopyFrom(completion)
        for citation in moved.annotations:
            citation.start_index = kept.moved(citation.start_index)
            citation.end_index = kept.moved(citation.end_index)
        return moved

    async def run(self) -> None:
        """Wait for the end, and give back what rules hold open."""
        try:
            await asyncio.Event().wait()
        finally:
            await self._rules.close()

    def _prompts_of(self, request: ChatRequest, expert: str) -> tuple[str, ...]:
        told = [] if isinstance(request.input, str) else _system_prompts(request.input.messages)
        return tuple(prompt for prompt in (self._prompts.get(expert, ""), *told) if prompt)


async def _guarded(
    chunks: AsyncIterator[pb.GenerateChunk],
    answer: GuardedAnswer,
    judged: JudgedAnswer | None,
    hold: Hold,
    record: RequestRecord,
) -> AsyncIterator[pb.GenerateChunk]:
    try:
        async for chunk in chunks:
            since = answer.held_since
            passed = answer.passed(chunk)
            if hold.is_over(answer.held_since):
                passed = answer.released(passed)
            if judged is None:
                hold.watch(answer.held_since)
            else:
                passed = await _judged(passed, judged, hold, since)
                hold.watch(answer.held_since if judged.held_since is None else judged.held_since)
            if passed is not None:
                yield passed
        rest = answer.rest()
        if judged is not None:
            rest = await judged.released(await judged.passed(rest))
        if rest is not None:
            yield rest
    except BrokenRule as broken:
        raise blocked(broken.rule, Stage.OUTPUT) from None
    finally:
        hold.stop()
        record.note(NAME, answer.tally.facts)


async def _judged(
    chunk: pb.GenerateChunk | None, judged: JudgedAnswer, hold: Hold, since: float | None
) -> pb.GenerateChunk | None:
    passed = await judged.passed(chunk, since)
    return await judged.released(passed) if hold.is_over(judged.held_since) else passed


def _newest_turn(asked: chat.Conversation | str) -> str:
    if isinstance(asked, str):
        return asked
    return next((one.content for one in reversed(asked.messages) if one.role == chat.ROLE_USER), "")


def _system_prompts(messages: Iterable[chat.Message]) -> list[str]:
    return [message.content for message in messages if message.role == chat.ROLE_SYSTEM]
