"""Follows one request from its receipt to its end, and tells metrics and log about it exactly once.

`with meters.follow(request) as meter:` is wrapped around the whole of a request; whatever ends it (answer, error,
client gone) ends the `with`, so nothing is counted twice and nothing is lost.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Final, Self

from experts.catalog import Catalog
from experts.limits import padded_tokens
from protos import expert_pb2 as pb
from router.decision import Reason, RouteDecision
from serve.cost import cost_usd
from serve.errors import InternalError, MoegateError
from serve.metrics import NO_EXPERT, Metrics
from serve.request import ChatRequest

log = logging.getLogger("moegate.request")

OK: Final = "ok"
CANCELLED: Final = "cancelled"
_CHOSEN_BY_ROUTER: Final = frozenset({Reason.CLASSIFIED, Reason.ABSTAINED})


class Meters:
    """Makes a meter for each request."""

    def __init__(self, catalog: Catalog, metrics: Metrics, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._catalog = catalog
        self._metrics = metrics
        self._clock = clock

    def follow(self, request: ChatRequest) -> "Meter":
        """Start following a request; use as a context manager."""
        return Meter(request, self._catalog, self._metrics, self._clock)


class Meter(AbstractContextManager["Meter"]):
    """One request's clock and counts.

    Attributes:
        overhead_s: seconds the gateway spent before dispatch, the wait for a permit left out.
        ttft_s: seconds from receipt to the first token; 0 before it.
        cost_usd: USD so far.
    """

    def __init__(self, request: ChatRequest, catalog: Catalog, metrics: Metrics, clock: Callable[[], float]) -> None:
        self._request = request
        self._catalog = catalog
        self._metrics = metrics
        self._clock = clock
        self._expert = NO_EXPERT
        self._decision: RouteDecision | None = None
        self._admitted_after_s = 0.0
        self._first_at = 0.0
        self._last_at = 0.0
        self._prompt_tokens = 0
        self._completion_tokens = 0
        self.overhead_s = 0.0
        self.ttft_s = 0.0
        self.cost_usd = 0.0

    def __enter__(self) -> Self:
        self._metrics.requests.in_flight.labels(self._expert).inc()
        return self

    def admitted(self, waited_s: float) -> None:
        """A permit came after `waited_s` seconds."""
        self._admitted_after_s = waited_s
        self._metrics.admission.wait.observe(waited_s)

    def routed(self, decision: RouteDecision) -> None:
        """The router has decided; dispatch comes next."""
        self._decided(decision)
        self._metrics.routing.seconds.observe(decision.route_s)
        if decision.reason in _CHOSEN_BY_ROUTER:
            self._metrics.routing.confidence.labels(decision.expert).observe(decision.confidence)
        self.overhead_s = self._clock() - self._request.received_at - self._admitted_after_s
        self._metrics.requests.overhead.observe(self.overhead_s)

    def fell_back(self, expert: str, to: str) -> None:
        """`expert` failed before its first token; `to` is asked next."""
        self._metrics.dispatch.fallbacks.labels(expert, to).inc()
        log.warning("fell back", extra={"request_id": self._request.request_id, "expert": expert, "to": to})

    def answered(self, decision: RouteDecision) -> None:
        """Somebody gave a first token: the decision as carried out."""
        self._decided(decision)
        self._metrics.routing.decisions.labels(decision.expert, decision.reason.value).inc()

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
            self._metrics.requests.ttft.labels(self._expert, self._mode).observe(self.ttft_s)
        else:
            self._metrics.requests.inter_token.labels(self._expert).observe((now - self._last_at) / count)
        self._last_at = now
        self._completion_tokens += count

    def settled(self, completion: pb.Completion) -> float:
        """The expert's own count is final. Returns USD."""
        usage = completion.usage
        self._prompt_tokens, self._completion_tokens = usage.prompt_tokens, usage.completion_tokens
        for field, count in completion.tool_calls.ListFields():
            self._metrics.requests.tool_calls.labels(self._expert, field.name).inc(count)
        if completion.dropped_citations:
            self._metrics.requests.dropped_citations.labels(self._expert).inc(completion.dropped_citations)
        return self._price()

    def spent(self) -> tuple[int, float]:
        """Tokens, prompt and completion together, and USD, so far."""
        return self._prompt_tokens + self._completion_tokens, self._price()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        outcome = _outcome(error)
        duration_s = self._clock() - self._request.received_at
        self._metrics.requests.in_flight.labels(self._expert).dec()
        self._metrics.requests.ended.labels(self._expert, self._request.door, outcome).inc()
        if self._expert != NO_EXPERT:
            self._count(outcome, duration_s)
        self._log(outcome, duration_s)

    @property
    def _mode(self) -> str:
        return "stream" if self._request.is_stream else "unary"

    def _decided(self, decision: RouteDecision) -> None:
        self._decision = decision
        self._metrics.requests.in_flight.labels(self._expert).dec()
        self._expert = decision.expert
        self._metrics.requests.in_flight.labels(self._expert).inc()

    def _price(self) -> float:
        spec = self._catalog.get(self._expert)
        if spec is not None:
            self.cost_usd = cost_usd(spec.price, self._prompt_tokens, self._completion_tokens)
        return self.cost_usd

    def _count(self, outcome: str, duration_s: float) -> None:
        metrics, expert, n = self._metrics.requests, self._expert, self._completion_tokens
        metrics.duration.labels(expert, self._mode).observe(duration_s)
        metrics.tokens.labels(expert, "prompt").inc(self._prompt_tokens)
        metrics.tokens.labels(expert, "completion").inc(n)
        if (spec := self._catalog.get(expert)) is not None and self._prompt_tokens:
            metrics.padded_tokens.labels(expert).inc(padded_tokens(spec, self._prompt_tokens))
        metrics.cost.labels(expert).inc(self._price())
        if outcome != OK:
            metrics.wasted_tokens.labels(expert).inc(n)
        if n > 1:
            metrics.per_output_token.labels(expert).observe((self._last_at - self._first_at) / (n - 1))

    def _log(self, outcome: str, duration_s: float) -> None:
        decision = self._decision
        fields = {
            "request_id": self._request.request_id,
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
            "cost_usd": self.cost_usd,
            "route_us": round(decision.route_s * 1e6, 1) if decision else None,
            "overhead_ms": round(self.overhead_s * 1e3, 3),
            "ttft_ms": round(self.ttft_s * 1e3, 3),
            "duration_ms": round(duration_s * 1e3, 3),
        }
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
