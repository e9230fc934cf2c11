"""Neighbours of the core, played: a router that says what it is told, a dispatcher whose stream is a list, and experts
whose calls are lists.
"""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

from grpc import StatusCode

from protos import chat_pb2 as chat
from protos import expert_pb2 as pb
from router.decision import Coverage, RouteDecision
from router.features.featurize import RouteQuery
from router.policy.decide import ExpertState, RoutingPreferences
from router.policy.objective import NO_PREFERENCES
from serve.dispatch.hand_back import DecideAgain
from serve.dispatch.wasted_work import Follower
from serve.errors import ExpertUnavailable, MoegateError
from serve.expert_client.channel import ExpertCall
from serve.expert_client.h2.call import CallError
from serve.limits.quota import Allowance
from serve.request import ChatRequest
from serve.steps.answer import Answer
from tests.helpers import chat_request, routed_record


class FakeRouter:
    """Decides as it is told, from the second time on as `later` says, and keeps what it was asked."""

    def __init__(self, decision: RouteDecision) -> None:
        self.decision = decision
        self.later: list[RouteDecision] = []
        self.asked: list[tuple[RouteQuery, str | None, RoutingPreferences]] = []
        self.offered: list[list[str]] = []

    def route(
        self,
        query: RouteQuery,
        states: Sequence[ExpertState],
        pinned: str | None = None,
        preferences: RoutingPreferences = NO_PREFERENCES,
    ) -> RouteDecision:
        self.asked.append((query, pinned, preferences))
        self.offered.append([state.name for state in states])
        return self.later.pop(0) if self.later and len(self.asked) > 1 else self.decision

    def coverage(self, experts: Sequence[str]) -> Coverage:
        return Coverage((), ())


class FakeStream:
    """A stream out of a list: an error in it is raised in its place, None waits for ever."""

    ttft_s = 0.5
    begun_at = 0.0
    is_ready = False

    def __init__(self, decision: RouteDecision, items: Sequence[pb.GenerateChunk | MoegateError | None]) -> None:
        self.expert = decision.expert
        self.decision = decision
        self._items = list(items)

    async def read(self) -> pb.GenerateChunk:
        item = self._items.pop(0)
        if item is None:
            await asyncio.Event().wait()
        if isinstance(item, MoegateError):
            raise item
        assert item is not None
        return item

    def wake(self) -> None:
        """Nothing waits for long here."""


def played_answer(
    decision: RouteDecision,
    *items: pb.GenerateChunk | MoegateError | None,
    allowance: Allowance | None = None,
    documents: Sequence[chat.Document] = (),
) -> Answer:
    """An answer, over these documents, whose expert says `items`."""
    request = chat_request()
    cast(chat.Conversation, request.input).documents.extend(documents)
    stream = cast(Any, FakeStream(decision, items))
    record = routed_record(decision)
    record.answered(decision, 0.0)
    return Answer(request, stream, record, allowance or Allowance())


class FakeDispatcher:
    """Opens one stream after another, and keeps who has been asked and what is still open."""

    def __init__(self, *items: pb.GenerateChunk | MoegateError | None) -> None:
        self.items = items
        self.refuse: MoegateError | None = None
        self.falls_back = self.hands_back = False
        self.requests: list[ChatRequest] = []
        self.open = 0

    @asynccontextmanager
    async def dispatch(
        self, request: ChatRequest, decision: RouteDecision, follower: Follower, decide_again: DecideAgain
    ) -> AsyncIterator[FakeStream]:
        self.requests.append(request)
        if self.refuse is not None:
            raise self.refuse
        if self.falls_back:
            follower.fell_back(decision.expert, decision.ranking[1].expert)
            decision = decision.fallback_to(1)
        if self.hands_back:
            expert, decision = decision.expert, decide_again(decision.expert)
            follower.handed_back(expert, decision)
        self.open += 1
        try:
            yield FakeStream(decision, self.items)
        finally:
            self.open -= 1


Item = pb.GenerateChunk | CallError | None


class FakeCall:
    """A call's messages out of a list: an error in it is raised in its place, None is silence until it is cancelled."""

    def __init__(self, items: Sequence[Item], closed: asyncio.Event) -> None:
        self._items = list(items)
        self._closed = closed

    @property
    def is_ready(self) -> bool:
        return bool(self._items) and isinstance(self._items[0], pb.GenerateChunk)

    async def read(self) -> pb.GenerateChunk | None:
        if not self._items:
            return None
        item = self._items.pop(0)
        if item is None:
            await self._closed.wait()
            raise CallError(StatusCode.CANCELLED)
        if isinstance(item, CallError):
            raise item
        return item

    def cancel(self) -> None:
        self._closed.set()


@dataclass(frozen=True)
class Asked:
    """A call of `generate`, as it was asked for."""

    expert: str
    message: pb.GenerateRequest
    timeout_s: float
    accept_within_s: float
    patience_s: float
    traceparent: str | None
    play: Sequence[Item]
    closed: asyncio.Event


class FakeChannels:
    """Experts that play what `plays` holds for their next call: its messages, or no connection.

    An expert with nothing left to play repeats what it played last; one that was given nothing cannot be reached.

    Attributes:
        plays: by expert, one entry a call.
        asked: the calls of `generate`.
        described: who was asked how it is.
        ill: who does not say how it is.
        may_describe: nobody says how it is until it is set; as it is by default.
    """

    def __init__(self, **plays: Sequence[Sequence[Item] | MoegateError]) -> None:
        self.plays = {expert: list(calls) for expert, calls in plays.items()}
        self.asked: list[Asked] = []
        self.described: list[str] = []
        self.ill: set[str] = set()
        self.may_describe = asyncio.Event()
        self.may_describe.set()
        self._last: dict[str, Sequence[Item] | MoegateError] = defaultdict(lambda: ExpertUnavailable("not there"))

    async def generate(
        self,
        expert: str,
        message: pb.GenerateRequest,
        *,
        timeout_s: float,
        accept_within_s: float,
        patience_s: float,
        traceparent: str | None = None,
    ) -> ExpertCall:
        if self.plays.get(expert):
            self._last[expert] = self.plays[expert].pop(0)
        play, closed = self._last[expert], asyncio.Event()
        items = () if isinstance(play, MoegateError) else play
        self.asked.append(Asked(expert, message, timeout_s, accept_within_s, patience_s, traceparent, items, closed))
        if isinstance(play, MoegateError):
            closed.set()
            raise play
        call = cast(Any, FakeCall(play, closed))
        return ExpertCall(call, accept_within_s=accept_within_s, patience_s=patience_s, clock=time.monotonic)

    async def describe(self, expert: str, *, timeout_s: float) -> pb.DescribeResponse:
        self.described.append(expert)
        await self.may_describe.wait()
        if expert in self.ill:
            raise ExpertUnavailable("it does not say")
        return pb.DescribeResponse(structured_output=True)

    @property
    def who(self) -> list[str]:
        """The experts that were asked, in order."""
        return [asked.expert for asked in self.asked]

    @property
    def open(self) -> Counter[str]:
        """Calls that nobody has ended, by expert."""
        return Counter(asked.expert for asked in self.asked if not asked.closed.is_set())
