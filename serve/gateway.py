"""The life of a request, whichever door it came through: admit, prepare, route, dispatch, present, stream back.

Read this first. The doors (`http_api`, `grpc_api`) turn their wire into a `ChatRequest`, and an `Answer` back into
their wire; `Answer` and its `End` are in `serve.steps.answer`. Everything between is here.
"""

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Protocol

from experts.catalog.spec import Catalog, ExpertSpec
from experts.conversation.request_limits import MAX_TOOLS
from router.decision import Coverage, RouteDecision
from router.features.featurize import RouteQuery
from router.policy.decide import ExpertState, RoutingPreferences
from router.policy.objective import NO_PREFERENCES
from serve.admission.drain import Drain
from serve.admission.permits import Admission
from serve.costs.tariffs import PriceBook
from serve.dispatch.hand_back import DecideAgain, handed_back_by
from serve.dispatch.health import HealthMonitor
from serve.dispatch.wasted_work import Follower
from serve.errors import InvalidRequest, UnknownModel
from serve.expert_client.stream import ExpertStream
from serve.limits.quota import Quotas
from serve.request import ChatRequest
from serve.routing.canary import canaries, with_canary
from serve.routing.expert_states import Candidates
from serve.routing.preferences import PREVIOUS_EXPERT_HEADER, routing_preferences
from serve.routing.query import last_speaker, route_query, words_query
from serve.settings.tree import RouterSettings
from serve.steps.answer import Answer
from serve.steps.step import NO_STEPS, Steps
from serve.telemetry.record import RequestRecord
from serve.telemetry.recorder import Recorder
from serve.validation.rules import validate


class Router(Protocol):
    """Decides who should answer; `router.router.Router` is the learned one."""

    def route(
        self,
        query: RouteQuery,
        experts: Sequence[ExpertState],
        *,
        pinned: str | None = None,
        preferences: RoutingPreferences = NO_PREFERENCES,
    ) -> RouteDecision:
        """Rank the experts."""
        ...

    def coverage(self, experts: Sequence[str]) -> Coverage:
        """Tell which of these experts it cannot choose, and which of its classes none of them serves."""
        ...


class Dispatcher(Protocol):
    """Carries a decision out; `serve.dispatch.dispatcher.Dispatcher` asks experts over gRPC."""

    def dispatch(
        self, request: ChatRequest, decision: RouteDecision, follower: Follower, decide_again: DecideAgain
    ) -> AbstractAsyncContextManager[ExpertStream]:
        """Hold open a stream to the first expert that gives a first token; `decide_again` where one hands back.

        Raises:
            MoegateError: nobody gave one.
        """
        ...


class Gateway:
    """One core for both doors."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        router: Router,
        allowances: Quotas,
        admission: Admission,
        drain: Drain,
        dispatcher: Dispatcher,
        health: HealthMonitor,
        candidates: Candidates,
        recorder: Recorder,
        settings: RouterSettings,
        steps: Steps = NO_STEPS,
        max_tools: int = MAX_TOOLS,
        on_trial: Callable[[Catalog], Mapping[str, ExpertSpec]] = canaries,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.health = health
        self._router = router
        self._allowances = allowances
        self._admission = admission
        self._drain = drain
        self._dispatcher = dispatcher
        self._recorder = recorder
        self._steps = steps
        self._router_settings = settings
        self._clock, self._on_trial = clock, on_trial
        self._candidates = candidates
        self._max_tools = max_tools
        self.take(catalog)
        self.max_tokens_limit = max(expert.context_window for expert in catalog.experts)

    def renew(self, catalog: Catalog, prices: PriceBook) -> None:
        """Go on with other prices and shares of the same experts; a request keeps the prices that it began with."""
        self.take(catalog)
        self._candidates.renew(catalog)
        self._allowances.reprice(catalog, prices.tariffs)
        self._recorder.pricing = prices

    def take(self, catalog: Catalog) -> None:
        """Go on with this catalogue's names, and the canaries in it that are on trial now."""
        self.catalog, self._names, self._canaries = catalog, catalog.names, self._on_trial(catalog)

    @asynccontextmanager
    async def generate(self, request: ChatRequest) -> AsyncIterator[Answer]:
        """Answer a request. The body of the `with` begins when the first token is here.

        However the body ends, the expert's work ends with it, the permit is returned and the request is recorded.

        Raises:
            MoegateError: nothing was generated; or, out of `Answer.chunks`, the answer is incomplete.
        """
        with self._recorder.follow(request) as record, self._drain.watch():
            self._check(request)
            async with self._allowances.hold(request, record) as allowance, self._admitted(request) as waited_s:
                record.admitted(waited_s)
                prepared = await self._steps.prepare(request, record)
                async with self._steps.answer(prepared, record, partial(self._ask, record=record)) as source:
                    yield Answer(prepared, source, record, allowance, self._steps)

    @asynccontextmanager
    async def _ask(self, request: ChatRequest, record: RequestRecord) -> AsyncIterator[ExpertStream]:
        """Route a request and hold open the stream of the expert that answers."""
        preferences = self._preferences(request)
        decision = self._decide(request, preferences)
        record.routed(decision, preferences.previous_expert)
        again = partial(self._decide_again, request)
        async with self._dispatcher.dispatch(record.traced(request), decision, record, again) as stream:
            record.answered(stream.decision, stream.begun_at)
            yield stream
            if record.completion is not None:
                now = self._clock()
                self.health.report_answer(stream.decision.expert, record.completion, ttft_s=stream.ttft_s, now=now)

    def _admitted(self, request: ChatRequest) -> AbstractAsyncContextManager[float]:
        return self._admission.permit(deadline=request.deadline, priority=request.priority, tenant=request.caller.name)

    def route(self, request: ChatRequest) -> RouteDecision:
        """Decide, and do no more.

        Raises:
            InvalidRequest: the request could not be answered.
            UnknownModel: `model` names no expert.
        """
        self._check(request)
        return self._decide(request, self._preferences(request))

    def router_coverage(self) -> Coverage:
        """How the router's experts and the catalogue's match; a canary is its incumbent's business."""
        return self._router.coverage([expert.name for expert in self.catalog.experts if expert.canary_of is None])

    def warm_up(self) -> None:
        """Decide a few times without a request: a process's first decision pays for imports and page faults (15 ms)."""
        for text in ("Who wrote it?", "Write a function that adds two numbers.", "Plan a trip. " * 50):
            self._router.route(route_query(text), self._candidates.all_states())

    def _check(self, request: ChatRequest) -> None:
        if request.pinned is not None and self.catalog.get(request.pinned) is None:
            known = ", ".join(("auto", *self.catalog.names))
            raise UnknownModel(f"no such model; the models are: {known}", param="model")
        self._steps.check(request)
        validate(request, max_tokens_limit=self.max_tokens_limit, max_tools=self._max_tools)
        previous = request.preferences.previous_expert
        if previous is not None and self.catalog.get(previous) is None:
            param = "previous_expert" if request.door == "grpc" else PREVIOUS_EXPERT_HEADER
            raise InvalidRequest(f"'{param}' names no expert", param=param)
        self._candidates.check(request)

    def _decide(self, request: ChatRequest, preferences: RoutingPreferences) -> RouteDecision:
        decision = self._router.route(
            route_query(request.input, request.read),
            self._candidates.states(request),
            pinned=request.pinned,
            preferences=preferences,
        )
        return with_canary(decision, self._canaries, request)

    def _decide_again(self, request: ChatRequest, expert: str) -> RouteDecision:
        """Decide by the words alone, without `expert`: it has handed the request back."""
        states = self._candidates.states(request)
        others = [state for state in states if state.name != expert]
        decision = self._router.route(words_query(request.input), others, preferences=self._preferences(request))
        return handed_back_by(expert, with_canary(decision, self._canaries, request), states)

    def _preferences(self, request: ChatRequest) -> RoutingPreferences:
        """The caller's preferences, the settings' where there are none; a latency target counts from receipt."""
        now = self._clock()
        return routing_preferences(
            request.preferences,
            self._router_settings,
            elapsed_s=now - request.received_at,
            now=now,
            max_tokens=request.sampling.max_tokens if request.sampling.HasField("max_tokens") else None,
            last_speaker=last_speaker(request.input, self._names),
        )
