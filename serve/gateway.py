"""The life of a request, whichever door it came through: admit, route, dispatch, stream back, meter.

Read this first. The doors (`http_api`, `grpc_api`) turn their wire into a `ChatRequest`, and an `Answer` into their
wire again; everything between is here.
"""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from experts.catalog import Catalog
from protos import expert_pb2 as pb
from router.decision import RouteDecision
from router.policy import Wishes
from router.router import Router
from serve.admission import Admission
from serve.allowance import Allowances, rate_headers
from serve.canary import canaries, with_canary
from serve.candidates import Candidates
from serve.dispatch import Dispatcher
from serve.drain import Drain
from serve.errors import InvalidRequest, UnknownModel
from serve.expert_stream import ExpertStream
from serve.health import HealthMonitor
from serve.limits import Standing
from serve.meter import Meter, Meters
from serve.request import ChatRequest, validate
from serve.route_query import last_speaker, route_query
from serve.settings import RouterSettings
from serve.wishes import PREVIOUS_EXPERT_HEADER


class Answer:
    """An answer whose first token is here.

    Attributes:
        decision: who answers, and why.
        overhead_s: seconds the gateway itself took before dispatch.
        rate_headers: what is left of the key's limits, as both doors tell it.
        end: how it ended, once `chunks` is exhausted.
    """

    def __init__(self, stream: ExpertStream, meter: Meter, standing: Standing | None = None) -> None:
        self.rate_headers = tuple(rate_headers(standing))
        self.decision = stream.decision
        self.overhead_s = meter.overhead_s
        self.end = End(pb.Completion(), 0.0, 0.0)
        self._stream = stream
        self._meter = meter

    @property
    def is_more_ready(self) -> bool:
        """Whether more can be had without waiting."""
        return self._stream.is_ready

    async def chunks(self) -> AsyncIterator[pb.GenerateChunk]:
        """The expert's messages that carry text or tool calls, as they come.

        Raises:
            ExpertFailed: the expert broke; the answer is incomplete.
            DeadlineExceeded: the deadline passed; likewise.
        """
        is_last = False
        while not is_last:
            chunk = await self._stream.read()
            self._meter.tokens(chunk)
            is_last = chunk.HasField("completion")
            if chunk.text or chunk.tool_calls:
                yield chunk
        self.end = End(chunk.completion, self._meter.settled(chunk.completion), self._meter.ttft_s)


@dataclass(frozen=True, slots=True)
class End:
    """How an answer ended: in the expert's words, in USD, and in seconds from receipt to first token (our clock)."""

    completion: pb.Completion
    cost_usd: float
    ttft_s: float


class Gateway:
    """One core for both doors."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        router: Router,
        allowances: Allowances,
        admission: Admission,
        drain: Drain,
        dispatcher: Dispatcher,
        health: HealthMonitor,
        meters: Meters,
        settings: RouterSettings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.catalog = catalog
        self.health = health
        self._router = router
        self._allowances = allowances
        self._admission = admission
        self._drain = drain
        self._dispatcher = dispatcher
        self._meters = meters
        self._router_settings = settings
        self._clock = clock
        self._candidates = Candidates(catalog, health, dispatcher)
        self._canaries = canaries(catalog)
        self.max_tokens_limit = max(expert.context_window for expert in catalog.experts)

    @asynccontextmanager
    async def generate(self, request: ChatRequest) -> AsyncIterator[Answer]:
        """Answer a request. The body of the `with` begins when the first token is here.

        However the body ends, the expert's work ends with it, the permit is returned and the request is metered.

        Raises:
            MoegateError: nothing was generated; or, out of `Answer.chunks`, the answer is incomplete.
        """
        with self._meters.follow(request) as meter, self._drain.watch():
            self._check(request)
            async with self._allowances.hold(request, meter) as standing, self._admitted(request) as waited_s:
                meter.admitted(waited_s)
                wishes = self._wishes(request)
                decision = self._decide(request, wishes)
                meter.routed(decision, wishes.previous_expert)
                traced = meter.traced(request)
                async with self._dispatcher.dispatch(traced, decision, meter) as stream:
                    meter.answered(stream.decision, stream.begun_at)
                    answer = Answer(stream, meter, standing)
                    yield answer
                    completion = answer.end.completion
                    self.health.report_answer(
                        stream.decision.expert, completion, ttft_s=stream.ttft_s, now=self._clock()
                    )

    def _admitted(self, request: ChatRequest) -> AbstractAsyncContextManager[float]:
        return self._admission.permit(deadline=request.deadline, priority=request.priority, tenant=request.caller.name)

    def route(self, request: ChatRequest) -> RouteDecision:
        """Decide, and do no more.

        Raises:
            InvalidRequest: the request could not be answered.
            UnknownModel: `model` names no expert.
        """
        self._check(request)
        return self._decide(request, self._wishes(request))

    def warm_up(self) -> None:
        """Decide a few times for nobody: the first decision of a process pays for imports and page faults (15 ms)."""
        for text in ("Who wrote it?", "Write a function that adds two numbers.", "Plan a trip. " * 50):
            self._router.route(route_query(text), self._candidates.all_states())

    def _check(self, request: ChatRequest) -> None:
        if request.pinned is not None and self.catalog.get(request.pinned) is None:
            known = ", ".join(("auto", *self.catalog.names))
            raise UnknownModel(f"no such model; the models are: {known}", param="model")
        validate(request, max_tokens_limit=self.max_tokens_limit)
        previous = request.wishes.previous_expert
        if previous is not None and self.catalog.get(previous) is None:
            param = "previous_expert" if request.door == "grpc" else PREVIOUS_EXPERT_HEADER
            raise InvalidRequest(f"'{param}' names no expert", param=param)
        self._candidates.check_structure(request)

    def _decide(self, request: ChatRequest, wishes: Wishes) -> RouteDecision:
        decision = self._router.route(
            route_query(request.input),
            self._candidates.states(request),
            pinned=request.pinned,
            wishes=wishes,
        )
        return with_canary(decision, self._canaries, request.request_id)

    def _wishes(self, request: ChatRequest) -> Wishes:
        """The caller's wishes, the settings' where there are none; a latency target counts from receipt."""
        said, now, settings = request.wishes, self._clock(), self._router_settings
        target_ms = settings.ttft_target_ms if said.ttft_target_ms is None else said.ttft_target_ms
        return Wishes(
            quality_cost=settings.quality_cost if said.quality_cost is None else said.quality_cost,
            ttft_target_s=None if target_ms is None else target_ms / 1e3 - (now - request.received_at),
            max_tokens=request.sampling.max_tokens if request.sampling.HasField("max_tokens") else None,
            previous_expert=said.previous_expert or last_speaker(request.input, self.catalog.names),
            now=now,
        )
