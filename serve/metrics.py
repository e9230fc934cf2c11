"""Every metric of the gateway, in one place, on a registry that is handed in.

Labels are closed sets: experts of the catalogue (or `none`), doors, modes, reasons, error codes. Nothing a client
sends becomes a label. Buckets: OpenTelemetry's GenAI lists for times to first token, between tokens and in all
(https://github.com/open-telemetry/semantic-conventions-genai), finer ones for what the gateway itself does.
All clocks are the gateway's.
"""

import platform
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from serve import __version__

NO_EXPERT: Final = "none"
"""The expert label of a request that reached none."""

TTFT_BUCKETS: Final = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
INTER_TOKEN_BUCKETS: Final = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5,
)  # fmt: skip
DURATION_BUCKETS: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
GATEWAY_BUCKETS: Final = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1)
CONFIDENCE_BUCKETS: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)


class Metrics:
    """The gateway's metrics. One instance a process; a test makes its own with its own registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"moegate_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"moegate_{name}", text, labels, registry=registry)

        def histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(f"moegate_{name}", text, labels, buckets=buckets, registry=registry)

        self.requests = counter(
            "requests", "Requests ended, by the expert that answered, door and outcome", "expert", "door", "outcome"
        )
        self.in_flight = gauge(
            "requests_in_flight", "Requests being answered, by expert (none: not yet routed)", "expert"
        )
        self.duration = histogram(
            "request_duration_seconds",
            "Request received to answer complete",
            DURATION_BUCKETS,
            "expert",
            "mode",
        )
        self.ttft = histogram(
            "time_to_first_token_seconds",
            "Request received to first token from the expert",
            TTFT_BUCKETS,
            "expert",
            "mode",
        )
        self.inter_token = histogram(
            "inter_token_seconds",
            "Gap between consecutive messages of a stream, divided by the tokens the later one carries",
            INTER_TOKEN_BUCKETS,
            "expert",
        )
        self.per_output_token = histogram(
            "time_per_output_token_seconds",
            "(last token - first token) / (tokens - 1) of a request",
            INTER_TOKEN_BUCKETS,
            "expert",
        )
        self.overhead = histogram(
            "gateway_overhead_seconds",
            "Request received to dispatch, the wait for a permit left out",
            GATEWAY_BUCKETS,
        )
        self.route = histogram("route_seconds", "Time to decide", GATEWAY_BUCKETS)
        self.confidence = histogram(
            "route_confidence", "Probability of the chosen expert, where the router chose", CONFIDENCE_BUCKETS, "expert"
        )
        self.decisions = counter("route_decisions", "Decisions, by chosen expert and reason", "expert", "reason")
        self.tokens = counter("tokens", "Tokens of answers, also of cancelled ones", "expert", "kind")
        self.wasted_tokens = counter(
            "wasted_tokens", "Completion tokens of requests that were cancelled or failed", "expert"
        )
        self.cost = counter("cost_usd", "USD at the catalogue's prices", "expert")
        self.fallbacks = counter("fallbacks", "Moves to the next expert before the first token", "expert", "to")
        self.tool_calls = counter("tool_calls", "Tool calls that the model began, by outcome", "expert", "outcome")
        self.dropped_citations = counter(
            "dropped_citations", "Citations [n] that named no document, taken out of the answer", "expert"
        )
        self.admission_wait = histogram("admission_wait_seconds", "Wait for a permit", GATEWAY_BUCKETS)
        self.admission_waiting = gauge("admission_waiting", "Requests waiting for a permit")
        self._ready = gauge("expert_ready", "1 when the expert answers its probes", "expert")
        self._running = gauge("expert_sequences_running", "Sequences in the expert's batch, as last heard", "expert")
        self._waiting = gauge("expert_sequences_waiting", "Sequences queued before it, as last heard", "expert")
        self.router_reloads = counter("router_reloads", "Replaced router artefacts, by what became of them", "outcome")
        self._build = gauge("build_info", "Constant 1, labelled by what runs", "version", "router", "python")

    def build(self, router_version: str) -> None:
        """Say what runs; the router's version moves when the router is replaced."""
        self._build.clear()
        self._build.labels(__version__, router_version, platform.python_version()).set(1)

    def expert_ready(self, expert: str, is_ready: bool) -> None:
        """Record a probe's verdict."""
        self._ready.labels(expert).set(is_ready)

    def expert_load(self, expert: str, running: int, waiting: int) -> None:
        """Record how busy an expert says it is."""
        self._running.labels(expert).set(running)
        self._waiting.labels(expert).set(waiting)
