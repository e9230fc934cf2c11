"""An answer: what carries nothing is left out, how it ended is told once it has, and steps see all of it."""

from collections.abc import AsyncIterator

import pytest

from protos import expert_pb2 as pb
from serve.errors import ExpertFailed
from serve.limits.quota import Allowance
from serve.request import ChatRequest
from serve.steps.answer import Answer
from serve.steps.step import Step, Steps, Wake
from serve.telemetry.record import RequestRecord
from tests.fakes.core import FakeStream, played_answer
from tests.helpers import chat_request, chunk, last_chunk, route_decision, routed_record


class Count(Step):
    """Counts an answer's messages, and tells the count in the place of its completion tokens."""

    seen = 0

    async def present(
        self, chunks: AsyncIterator[pb.GenerateChunk], request: ChatRequest, record: RequestRecord, wake: Wake
    ) -> AsyncIterator[pb.GenerateChunk]:
        async for one in chunks:
            self.seen += 1
            yield one

    def conclude(self, completion: pb.Completion, request: ChatRequest, record: RequestRecord) -> pb.Completion:
        told = pb.Completion()
        told.CopyFrom(completion)
        told.usage.completion_tokens = self.seen
        return told


async def test_what_carries_nothing_is_left_out_and_the_end_is_told() -> None:
    answer = played_answer(route_decision("coder"), pb.GenerateChunk(), chunk("a"), chunk("b"), last_chunk(7))
    assert answer.end.completion.usage.completion_tokens == 0
    assert [one.text async for one in answer.chunks()] == ["a", "b"]
    assert answer.end.completion.usage.completion_tokens == 7
    assert answer.end.cost_usd == pytest.approx(14e-12)


async def test_an_answer_that_breaks_off_has_no_end() -> None:
    answer = played_answer(route_decision("coder"), chunk("a"), ExpertFailed("gone"))
    with pytest.raises(ExpertFailed):
        [one async for one in answer.chunks()]
    assert answer.end.cost_usd == 0


async def test_steps_see_the_messages_and_the_completion() -> None:
    decision = route_decision("coder")
    stream = FakeStream(decision, [chunk("a"), pb.GenerateChunk(), chunk("b"), last_chunk(9)])
    record = routed_record(decision)
    record.answered(decision, 0.0)
    answer = Answer(chat_request(), stream, record, Allowance(), Steps([Count()]))
    assert [one.text async for one in answer.chunks()] == ["a", "b"]  # the empty one is for steps alone
    assert answer.end.completion.usage.completion_tokens == 3
