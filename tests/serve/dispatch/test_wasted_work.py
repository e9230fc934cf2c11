"""What attempts cost that came to nothing: as far as the expert has told, entered once it is known why."""

from typing import Any, cast

from protos import expert_pb2 as pb
from router.decision import RouteDecision
from serve.costs.ledger import Waste
from serve.costs.tariffs import Work
from serve.dispatch.wasted_work import WastedWork
from serve.expert_client.channel import ExpertCall


class Told:
    """A follower that remembers."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, Waste, Work]] = []

    def fell_back(self, expert: str, to: str) -> None:
        raise AssertionError("nobody said so")

    def handed_back(self, expert: str, decision: RouteDecision) -> None:
        raise AssertionError("nobody said so")

    def lost(self, expert: str, waste: Waste, work: Work) -> None:
        self.seen.append((expert, waste, work))


class Scripted:
    """A call whose messages are there already; each takes a second to be read."""

    def __init__(self, clock: list[float], *messages: pb.GenerateChunk) -> None:
        self._clock = clock
        self._messages = list(messages)

    async def read(self) -> pb.GenerateChunk:
        self._clock[0] += 1
        return self._messages.pop(0)

    def cancel(self) -> None:
        pass


def test_nothing_is_told_before_the_cause_is_known_and_nothing_twice() -> None:
    told = Told()
    losses = WastedWork(told)
    losses.add("coder", Work(7, 2, 1.5))
    losses.add("advisor", Work())  # it had not begun
    assert told.seen == []
    losses.settle(Waste.RETRIED)
    losses.settle(Waste.HEDGED)
    assert told.seen == [("coder", Waste.RETRIED, Work(7, 2, 1.5))]


async def test_work_begins_when_the_engine_has_begun_on_the_prompt() -> None:
    clock = [100.0]
    taken_on, begun = pb.GenerateChunk(), pb.GenerateChunk(prompt_tokens=9)
    first = pb.GenerateChunk(text="a b", token_count=2)
    scripted = cast(Any, Scripted(clock, taken_on, begun, first))
    call = ExpertCall(scripted, accept_within_s=5, patience_s=5, clock=lambda: clock[0])
    assert (call.work, call.is_taken_on) == (Work(), False)
    chunk = await call.first()
    assert (chunk.text, chunk.prompt_tokens, call.is_taken_on) == ("a b", 9, True)
    assert (call.begun_at, call.work) == (102.0, Work(9, 2, slot_s=1.0))
    clock[0] += 4
    assert call.work == Work(9, 2, slot_s=5.0)
    call.close()
