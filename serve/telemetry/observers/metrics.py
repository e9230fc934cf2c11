"""Counts and measures what `serve.telemetry.record` knows about a request."""

from collections.abc import Mapping
from typing import Final

from protos import expert_pb2 as pb
from router.decision import Reason
from serve.telemetry.loss import Loss
from serve.telemetry.metrics import NO_EXPERT, Metrics
from serve.telemetry.observer import Observer
from serve.telemetry.record import CANCELLED, OK, RequestRecord
from serve.validation.forms import FORM_NAMES

_CHOSEN_BY_ROUTER: Final = frozenset({Reason.CLASSIFIED, Reason.ABSTAINED})


class MetricsObserver(Observer):
    """Writes the metrics of requests, admission, routing and fallbacks."""

    def __init__(self, metrics: Metrics, prompt_buckets: Mapping[str, int] | None = None) -> None:
        """`prompt_buckets`: by expert with a static shape, the tokens that every prompt is padded to."""
        self._metrics = metrics
        self._requests = metrics.requests
        self._prompt_buckets = prompt_buckets or {}

    def begun(self, record: RequestRecord) -> None:
        """One more is in flight."""
        self._requests.in_flight.labels(record.expert).inc()

    def admitted(self, record: RequestRecord) -> None:
        """Observe the wait."""
        self._metrics.admission.wait.observe(record.waited_s)

    def assigned(self, record: RequestRecord, previous: str) -> None:
        """It is in flight at another expert now."""
        self._requests.in_flight.labels(previous).dec()
        self._requests.in_flight.labels(record.expert).inc()

    def routed(self, record: RequestRecord) -> None:
        """Observe the decision's time and confidence."""
        decision, routing = record.decision, self._metrics.routing
        if decision is None:
            return
        routing.seconds.observe(decision.route_s)
        if decision.reason in _CHOSEN_BY_ROUTER:
            routing.confidence.labels(decision.expert).observe(decision.confidence)

    def dispatched(self, record: RequestRecord) -> None:
        """Observe the gateway's own time."""
        self._requests.overhead.observe(record.overhead_s)

    def fell_back(self, record: RequestRecord, expert: str, to: str) -> None:
        """Count it."""
        self._metrics.dispatch.fallbacks.labels(expert, to).inc()

    def handed_back(self, record: RequestRecord, expert: str) -> None:
        """Count it, and observe the second decision's time."""
        self._metrics.dispatch.hand_backs.labels(expert, record.expert).inc()
        if record.decision is not None:
            self._metrics.routing.seconds.observe(record.decision.route_s)

    def lost(self, record: RequestRecord, loss: Loss) -> None:
        """Count its tokens."""
        self._requests.wasted_tokens.labels(loss.expert).inc(loss.work.completion_tokens)

    def answered(self, record: RequestRecord) -> None:
        """Count the decision as carried out."""
        if record.decision is not None:
            self._metrics.routing.decisions.labels(record.expert, record.decision.reason.value).inc()

    def first_token(self, record: RequestRecord) -> None:
        """Observe the time to it."""
        self._requests.ttft.labels(record.expert, record.mode).observe(record.ttft_s, record.trace.exemplar)

    def tokens(self, record: RequestRecord, count: int, gap_s: float) -> None:
        """Observe the gap, divided by the tokens that came after it."""
        self._requests.inter_token.labels(record.expert, record.mode).observe(gap_s / count)

    def completed(self, record: RequestRecord, completion: pb.Completion) -> None:
        """Count what became of tool calls and citations."""
        for kind, count in completion.tool_calls.ListFields():
            self._requests.tool_calls.labels(record.expert, kind.name).inc(count)
        if form := FORM_NAMES.get(completion.form):
            self._requests.structured_answers.labels(record.expert, form).inc()
        if completion.dropped_citations:
            self._requests.dropped_citations.labels(record.expert).inc(completion.dropped_citations)

    def ended(self, record: RequestRecord) -> None:
        """Count the request, its tokens and its time."""
        requests, expert, outcome = self._requests, record.expert, record.outcome
        requests.in_flight.labels(expert).dec()
        requests.ended.labels(expert, record.request.door, outcome).inc()
        if expert == NO_EXPERT or record.is_recalled:
            return
        n = record.completion_tokens
        requests.duration.labels(expert, record.mode).observe(record.duration_s, record.trace.exemplar)
        requests.tokens.labels(expert, "prompt").inc(record.prompt_tokens)
        requests.tokens.labels(expert, "completion").inc(n)
        if record.prompt_tokens and (bucket := self._prompt_buckets.get(expert)):
            requests.padded_tokens.labels(expert).inc(max(0, bucket - record.prompt_tokens))
        if n > 1:
            requests.per_output_token.labels(expert, record.mode).observe(record.decode_s / (n - 1))
        if outcome != OK:
            requests.wasted_tokens.labels(expert).inc(n)
            if n and outcome != CANCELLED:
                requests.stream_errors.labels(expert, outcome).inc()
