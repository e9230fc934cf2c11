"""Follows one request from its receipt to its end, and tells metrics, books, trace and log about it exactly once.

`with meters.follow(request) as meter:` is wrapped around the whole of a request; whatever ends it (answer, error,
client gone) ends the `with`, so nothing is counted twice and nothing is lost.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Final, Self

from protos import chat_pb2 as chat
from protos import expert_pb2 as pb
from router.decision import Reason, RouteDecision
from serve.cost import Work, usd
from serve.errors import InternalError, MoegateError
from serve.forms import FORM_NAMES
from serve.ledger import Ledger, Waste
from serve.metrics import NO_EXPERT, Metrics
from serve.recent import Recent
from serve.request import ChatRequest
from serve.tracing import NO_TRACER, Trace, Tracer
from serve.traffic import Traffic

log = logging.getLogger("moegate.request")

OK: Final = "ok"
CANCELLED: Final = "cancelled"
_CHOSEN_BY_ROUTER: Final = frozenset({Reason.CLASSIFIED, Reason.ABSTAINED})
_FINISH_NAMES: Final = {
    chat.FINISH_REASON_STOP: "stop",
    chat.FINISH_REASON_LENGTH: "length",
    chat.FINISH_REASON_TOOL_CALLS: "tool_calls",
}


@dataclass(frozen=True, slots=True)
class Meters:
    """Makes a meter for each request.

    Attributes:
        metrics: what Prometheus sees.
        ledger: the books.
        traffic: what kind of requests come.
        recent: the latest decisions, for feedback to refer to.
        tracer: makes traces.
        prompt_buckets: by expert with a static shape: the tokens that every prompt is padded to.
        clock: the gateway's, monotonic, seconds.
    """

    metrics: Metrics
    ledger: Ledger
    traffic: Traffic
    recent: Recent
    tracer: Tracer = NO_TRACER
    prompt_buckets: Mapping[str, int] = field(default_factory=dict)
    clock: Callable[[], float] = time.monotonic

    def follow(self, request: ChatRequest) -> "Meter":
        """Start following a request; use as a context manager."""
        return Meter(request, self)


class Meter(AbstractContextManager["Meter"]):
    """One request's clock and counts.

    Attributes:
        overhead_s: seconds the gateway spent before dispatch, the wait for a permit left out.
        ttft_s: seconds from receipt to the first token; 0 before it.
        trace: what the trace is told, and the context that goes on to the expert.
    """

    def __init__(self, request: ChatRequest, parts: Meters) -> None:
        self._request = request
        self._parts = parts
        self._metrics = parts.metrics
        self._clock = parts.clock
        self._mode = "stream" if request.is_stream else "unary"
        self._expert = NO_EXPERT
        self._decision: RouteDecision | None = None
        self._admitted_after_s = 0.0
        self._dispatched_at = self._begun_at = 0.0
        self._first_at = 0.0
        self._last_at = 0.0
        self._completion: pb.Completion | None = None
        self._prompt_tokens = 0
        self._completion_tokens = 0
        self._lost_pico = 0
        self._lost: list[dict[str, object]] = []
        self.overhead_s = 0.0
        self.ttft_s = 0.0
        self.trace: Trace = parts.tracer.begin(request)

    def __enter__(self) -> Self:
        self._metrics.requests.in_flight.labels(self._expert).inc()
        return self

    def admitted(self, waited_s: float) -> None:
        """A permit came after `waited_s` seconds."""
        self._admitted_after_s = waited_s
        self._metrics.admission.wait.observe(waited_s)
        self.trace.admitted(waited_s)

    def routed(self, decision: RouteDecision, previous: str | None = None) -> None:
        """The router has decided; dispatch comes next. `previous` answered the conversation so far, if anyone."""
        self._decided(decision)
        routing = self._metrics.routing
        routing.seconds.observe(decision.route_s)
        if decision.reason in _CHOSEN_BY_ROUTER:
            routing.confidence.labels(decision.expert).observe(decision.confidence)
        self._parts.ledger.routed(decision.route_s)
        self._parts.traffic.routed(self._request, decision, previous)
        self.trace.routed(decision)
        self._dispatched_at = self._begun_at = self._clock()
        self.overhead_s = self._dispatched_at - self._request.received_at - self._admitted_after_s
        self._metrics.requests.overhead.observe(self.overhead_s)

    def fell_back(self, expert: str, to: str) -> None:
        """`expert` failed before its first token; `to` is asked next."""
        self._metrics.dispatch.fallbacks.labels(expert, to).inc()
        self.trace.fell_back(expert, to)
        log.warning("fell back", extra={"request_id": self._request.request_id, "expert": expert, "to": to})

    def traced(self, request: ChatRequest) -> ChatRequest:
        """The request as the expert is to be asked: below our dispatch in the trace, where there is one."""
        context = self.trace.traceparent
        return request if context == request.traceparent else replace(request, traceparent=context)

    def lost(self, expert: str, waste: Waste, work: Work) -> None:
        """An attempt beside the answer came to nothing after so much work; it is paid for all the same."""
        pico = self._parts.ledger.spend(expert, work, waste)
        self._lost_pico += pico
        self._lost.append(
            {
                "expert": expert,
                "cause": waste.value,
                "prompt_tokens": work.prompt_tokens,
                "completion_tokens": work.completion_tokens,
                "cost_usd": usd(pico),
            }
        )
        self._metrics.requests.wasted_tokens.labels(expert).inc(work.completion_tokens)

    def answered(self, decision: RouteDecision, begun_at: float) -> None:
        """Somebody gave a first token: the decision as carried out, and when the expert began on the prompt."""
        self._decided(decision)
        self._begun_at = begun_at or self._dispatched_at
        self._metrics.routing.decisions.labels(decision.expert, decision.reason.value).inc()
        self._parts.recent.remember(self._request.id, decision)

    def tokens(self, chunk: pb.GenerateChunk) -> None:
        """A message has come: so many tokens; the first one also says how long the prompt is."""
        count = chunk.token_count
        self._prompt_tokens = self._prompt_tokens or chunk.prompt_tokens
        if not count:
            return
        now = self._clock()
        if not self._completion_tokens:
            self._first_at = now
            self.ttft_s = now - self._request.received_at
            self._metrics.requests.ttft.labels(self._expert, self._mode).observe(self.ttft_s, self.trace.exemplar)
            self.trace.first_token()
        else:
            self._metrics.requests.inter_token.labels(self._expert, self._mode).observe((now - self._last_at) / count)
        self._last_at = now
        self._completion_tokens += count

    def settled(self, completion: pb.Completion) -> float:
        """The expert's own account is final. Returns USD: what the answer costs."""
        self._completion = completion
        usage = completion.usage
        self._prompt_tokens, self._completion_tokens = usage.prompt_tokens, usage.completion_tokens
        for kind, count in completion.tool_calls.ListFields():
            self._metrics.requests.tool_calls.labels(self._expert, kind.name).inc(count)
        if form := FORM_NAMES.get(completion.form):
            self._metrics.requests.structured_answers.labels(self._expert, form).inc()
        if completion.dropped_citations:
            self._metrics.requests.dropped_citations.labels(self._expert).inc(completion.dropped_citations)
        return usd(self._parts.ledger.price(self._expert, self._work()))

    def spent(self) -> tuple[int, float]:
        """Tokens, prompt and completion together, and USD, so far."""
        pico = self._parts.ledger.price(self._expert, self._work()) if self._expert != NO_EXPERT else 0
        return self._prompt_tokens + self._completion_tokens, usd(pico + self._lost_pico)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        outcome = _outcome(error)
        duration_s = self._clock() - self._request.received_at
        requests = self._metrics.requests
        requests.in_flight.labels(self._expert).dec()
        requests.ended.labels(self._expert, self._request.door, outcome).inc()
        pico = self._count(outcome, duration_s) if self._expert != NO_EXPERT else 0
        finish = _FINISH_NAMES.get(self._completion.finish_reason) if self._completion else None
        cost_usd = usd(pico + self._lost_pico)
        self.trace.end(outcome, self._prompt_tokens, self._completion_tokens, finish, cost_usd)
        self._log(outcome, duration_s, cost_usd)

    def _work(self) -> Work:
        """The work so far. An answer that was cut off has no timings: the slot was held since it was begun."""
        if self._completion is not None:
            timings = self._completion.timings
            slot_s = timings.prefill_s + timings.decode_s
        else:
            slot_s = self._clock() - self._begun_at if self._prompt_tokens else 0.0
        return Work(self._prompt_tokens, self._completion_tokens, slot_s)

    def _decided(self, decision: RouteDecision) -> None:
        self._decision = decision
        if decision.expert != self._expert:
            self._metrics.requests.in_flight.labels(self._expert).dec()
            self._expert = decision.expert
            self._metrics.requests.in_flight.labels(self._expert).inc()

    def _count(self, outcome: str, duration_s: float) -> int:
        """Count what was done; returns picodollars."""
        requests, expert, n = self._metrics.requests, self._expert, self._completion_tokens
        requests.duration.labels(expert, self._mode).observe(duration_s, self.trace.exemplar)
        requests.tokens.labels(expert, "prompt").inc(self._prompt_tokens)
        requests.tokens.labels(expert, "completion").inc(n)
        if self._prompt_tokens and (bucket := self._parts.prompt_buckets.get(expert)):
            requests.padded_tokens.labels(expert).inc(max(0, bucket - self._prompt_tokens))
        if n > 1:
            requests.per_output_token.labels(expert, self._mode).observe((self._last_at - self._first_at) / (n - 1))
        waste = None
        if outcome != OK:
            waste = Waste.CANCELLED if outcome == CANCELLED else Waste.FAILED
            requests.wasted_tokens.labels(expert).inc(n)
            if n and waste is Waste.FAILED:
                requests.stream_errors.labels(expert, outcome).inc()
        work = self._work()
        self._parts.ledger.compare(work)
        return self._parts.ledger.spend(expert, work, waste)

    def _log(self, outcome: str, duration_s: float, cost_usd: float) -> None:
        decision = self._decision
        fields: dict[str, object] = {
            "request_id": self._request.request_id,
            "response_id": self._request.id,
            "tenant": self._request.caller.name or None,
            "door": self._request.door,
            "mode": self._mode,
            "outcome": outcome,
            "expert": self._expert,
            "reason": decision.reason.value if decision else None,
            "confidence": round(decision.confidence, 4) if decision else None,
            "quality_cost": self._request.wishes.quality_cost,
            "propensity": decision.propensity if decision else None,
            "prompt_tokens": self._prompt_tokens,
            "completion_tokens": self._completion_tokens,
            "cost_usd": cost_usd,
            "wasted_usd": cost_usd if outcome != OK else usd(self._lost_pico),
            "route_us": round(decision.route_s * 1e6, 1) if decision else None,
            "overhead_ms": round(self.overhead_s * 1e3, 3),
            "ttft_ms": round(self.ttft_s * 1e3, 3),
            "duration_ms": round(duration_s * 1e3, 3),
        }
        if self._completion is not None and self._completion.form:
            fields["form"] = FORM_NAMES.get(self._completion.form)
        if self._lost:
            fields["lost"] = self._lost
        if self.trace.exemplar:
            fields |= self.trace.exemplar
        log.info("request", extra=fields)


def _outcome(error: BaseException | None) -> str:
    match error:
        case None:
            return OK
        case asyncio.CancelledError() | GeneratorExit():
            return CANCELLED
        case MoegateError():
            return error.code
        case _:
            return InternalError.code
