"""The gateway's neighbours, played: a router that says what it is told, and a dispatcher whose stream is a list."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from protos import expert_pb2 as pb
from router.decision import Coverage, RouteDecision
from router.features.featurize import RouteQuery
from router.policy.decide import ExpertState, Wishes
from router.policy.objective import NO_WISHES
from serve.dispatch.hand_back import DecideAgain
from serve.dispatch.wasted_work import Follower
from serve.errors import MoegateError
from serve.request import ChatRequest


class FakeRouter:
    """Decides as it is told, from the second time on as `later` says, and keeps what it was asked."""

    def __init__(self, decision: RouteDecision) -> None:
        self.decision = decision
        self.later: list[RouteDecision] = []
        self.asked: list[tuple[RouteQuery, str | None, Wishes]] = []
        self.offered: list[list[str]] = []

    def route(
        self,
        query: RouteQuery,
        states: Sequence[ExpertState],
        pinned: str | None = None,
        wishes: Wishes = NO_WISHES,
    ) -> RouteDecision:
        self.asked.append((query, pinned, wishes))
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
