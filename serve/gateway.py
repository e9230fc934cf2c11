"""The life of a request, whichever door it came through: admit, route, dispatch, stream back, meter.

Read this first. The doors (`http_api`, `grpc_api`) turn their wire into a `ChatRequest` and the events below into
their wire again; everything between is here.
"""

import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from experts.catalog import Catalog
from protos import chat_pb2 as chat
from router.decision import RouteDecision
from router.policy import ExpertState
from router.router import Router
from serve.admission import Admission
from serve.dispatch import Dispatcher
from serve.errors import UnknownModel
from serve.health import HealthMonitor
from serve.meter import Meters
from serve.request import ChatRequest, validate
from serve.route_query import route_query


@dataclass(frozen=True, slots=True)
class Started:
    """The first token is here: who gives it, why, and what the gateway itself took before dispatch (seconds)."""

    decision: RouteDecision
    overhead_s: float


@dataclass(frozen=True, slots=True)
class Tokens:
    """Text that has become ready, and how many tokens it took."""

    text: str
    count: int


@dataclass(frozen=True, slots=True)
class Finished:
    """The answer is complete. `ttft_s` is receipt to first token on the gateway's clock."""

    finish_reason: chat.FinishReason
    usage: chat.Usage
    cost_usd: float
    ttft_s: float


Event = Started | Tokens | Finished


class Gateway:
    """One core for both doors."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        router: Router,
        admission: Admission,
        dispatcher: Dispatcher,
        health: HealthMonitor,
        meters: Meters,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.catalog = catalog
        self.health = health
        self._router = router
        self._admission = admission
        self._dispatcher = dispatcher
        self._meters = meters
        self._clock = clock
        self._max_tokens_limit = max(expert.context_window for expert in catalog.experts)

    async def generate(self, request: ChatRequest) -> AsyncIterator[Event]:
        """Answer a request: one `Started`, `Tokens` as they come, one `Finished`.

        Closing the iterator, or cancelling whoever awaits it, cancels the expert's work.

        Raises:
            MoegateError: before `Started`, nothing was generated; after it, the answer is incomplete.
        """
        with self._meters.follow(request) as meter:
            self._check(request)
            async with self._admission.permit(wait_s=request.deadline - self._clock()) as waited_s:
                meter.admitted(waited_s)
                decision = self._decide(request)
                meter.routed(decision)
                async with self._dispatcher.dispatch(request, decision, meter.fell_back) as answer:
                    meter.answered(answer.decision)
                    yield Started(answer.decision, meter.overhead_s)
                    async for chunk in answer.chunks:
                        meter.tokens(chunk)
                        if chunk.text:
                            yield Tokens(chunk.text, chunk.token_count)
                    end = answer.completion
                    self.health.report_load(answer.decision.expert, end.load)
                    yield Finished(end.finish_reason, end.usage, meter.settled(end.usage), meter.ttft_s)

    def route(self, request: ChatRequest) -> RouteDecision:
        """Decide, and do no more.

        Raises:
            InvalidRequest: the request could not be answered.
            UnknownModel: `model` names no expert.
        """
        self._check(request)
        return self._decide(request)

    def _check(self, request: ChatRequest) -> None:
        if request.pinned is not None and self.catalog.get(request.pinned) is None:
            known = ", ".join(("auto", *self.catalog.names))
            raise UnknownModel(f"no such model; the models are: {known}", param="model")
        validate(request, max_tokens_limit=self._max_tokens_limit)

    def _decide(self, request: ChatRequest) -> RouteDecision:
        return self._router.route(route_query(request.input), self._states(), pinned=request.pinned)

    def _states(self) -> list[ExpertState]:
        return [
            ExpertState(
                name=expert.name,
                context_window=expert.context_window,
                healthy=health.is_ready,
                queue_len=health.running + health.waiting,
                max_batch_size=expert.max_batch_size,
                usd_per_million_tokens=expert.price.usd_per_completion_token * 1e6,
            )
            for expert in self.catalog.experts
            for health in (self.health.experts[expert.name],)
        ]
