"""The guard as a step: rules look at a request before it is routed, and at its answer on the way back.

The order of things: what is blocked is told apart by rule alone, never by its text. A masked request goes on with names
in the place of what was found; where a rule says so, the caller gets the things themselves back in the answer.
"""

import time
from collections.abc import AsyncIterator, Iterable
from typing import Final

from protos import chat_pb2 as chat
from protos import expert_pb2 as pb
from serve.errors import ContentBlocked
from serve.request import ChatRequest
from serve.steps.guard.answer import GuardedAnswer
from serve.steps.guard.compiled import BrokenRule, Hit, disjoint
from serve.steps.guard.masks import Masks
from serve.steps.guard.reload import GuardRules
from serve.steps.guard.request_texts import Place, places_of, with_texts
from serve.steps.guard.rules import Action, Rule, Stage
from serve.steps.guard.tally import Tally
from serve.steps.step import Step
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

    async def run(self) -> None:
        """Take up the rules' file whenever it changes."""
        await self._rules.run()

    async def prepare(self, request: ChatRequest, record: RequestRecord) -> ChatRequest:
        """Look at what came in, and mask it.

        Raises:
            ContentBlocked: a rule blocks the request, or cannot be carried out and fails closed.
        """
        began = time.perf_counter()
        rules = self._rules.current
        masks, tally = Masks(), Tally(self._metrics)
        record.of_step[self] = rules, masks, tally
        inspectors = {stage: rules.at(stage, key=request.caller.name) for stage in (Stage.INPUT, Stage.DOCUMENTS)}
        if not any(inspectors.values()):
            return request
        texts: dict[Place, str] = {}
        try:
            for place in places_of(request.input):
                inspector = inspectors[place.stage]
                hits = inspector.hits(place.text) if inspector is not None else ()
                if hits:
                    _refuse_blocked(hits, tally, place)
                    if masked := disjoint(hits, rules.rules):
                        texts[place] = masks.mask(place.text, masked)
        except BrokenRule as broken:
            raise _blocked(broken.rule, "request") from None
        finally:
            self._metrics.seconds.observe(time.perf_counter() - began)
            record.note(NAME, tally.facts)
        return with_texts(request, texts) if texts else request

    def present(
        self, chunks: AsyncIterator[pb.GenerateChunk], request: ChatRequest, record: RequestRecord
    ) -> AsyncIterator[pb.GenerateChunk]:
        """Look at the answer, hold back what may become a finding, and put back what may be restored."""
        rules, masks, tally = record.of_step[self]
        inspector = rules.at(
            Stage.OUTPUT,
            key=request.caller.name,
            expert=record.expert,
            prompts=self._prompts_of(request, record.expert),
        )
        if inspector is None and not masks.can_restore:
            return chunks
        answer = GuardedAnswer(inspector, rules, masks, tally)
        record.of_step[self] = answer
        return self._guarded(chunks, answer, record)

    async def _guarded(
        self, chunks: AsyncIterator[pb.GenerateChunk], answer: GuardedAnswer, record: RequestRecord
    ) -> AsyncIterator[pb.GenerateChunk]:
        try:
            async for chunk in chunks:
                if (passed := answer.passed(chunk)) is not None:
                    yield passed
            if (rest := answer.rest()) is not None:
                yield rest
        except BrokenRule as broken:
            raise _blocked(broken.rule, "answer") from None
        finally:
            record.note(NAME, answer.tally.facts)

    def conclude(self, completion: pb.Completion, request: ChatRequest, record: RequestRecord) -> pb.Completion:
        """Move the citations to where they are in the text that has gone out."""
        answer = record.of_step[self]
        if isinstance(answer, GuardedAnswer) and completion.annotations and answer.shifts:
            moved = pb.Completion()
            moved.CopyFrom(completion)
            for citation in moved.annotations:
                citation.start_index = answer.moved(citation.start_index)
                citation.end_index = answer.moved(citation.end_index)
            return moved
        return completion

    def _prompts_of(self, request: ChatRequest, expert: str) -> tuple[str, ...]:
        told = [] if isinstance(request.input, str) else _system_prompts(request.input.messages)
        return tuple(prompt for prompt in (self._prompts.get(expert, ""), *told) if prompt)


def _system_prompts(messages: Iterable[chat.Message]) -> list[str]:
    return [message.content for message in messages if message.role == chat.ROLE_SYSTEM]


def _refuse_blocked(hits: Iterable[Hit], tally: Tally, place: Place) -> None:
    tally.count(hits, place.stage)
    for hit in hits:
        if hit.rule.action is Action.BLOCK:
            raise _blocked(hit.rule, "request", place.param)


def _blocked(rule: Rule, what: str, param: str | None = None) -> ContentBlocked:
    return ContentBlocked(f"the {what} is blocked by the rule '{rule.name}'", param=param)
