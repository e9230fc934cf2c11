"""Metrics of whole requests: how many, how they ended, and how long each part took by the gateway's clock."""

from typing import Final

from serve.telemetry.metrics import buckets
from serve.telemetry.metrics.registrar import Children, Registrar

NO_EXPERT: Final = "none"
"""The expert label of a request that reached none."""


class RequestMetrics:
    """`serve.telemetry.observers.metrics` writes them."""

    def __init__(self, add: Registrar) -> None:
        by_mode = ("expert", "mode")
        self.ended = Children(
            add.counter(
                "requests",
                "Requests ended, by the expert that answered, door and outcome",
                "expert",
                "door",
                "outcome",
            )
        )
        self.in_flight = Children(
            add.gauge("requests_in_flight", "Requests being answered, by expert (none: not yet routed)", "expert")
        )
        self.duration = Children(
            add.histogram("request_duration_seconds", "Request received to answer complete", buckets.DURATION, *by_mode)
        )
        self.ttft = Children(
            add.histogram(
                "time_to_first_token_seconds", "Request received to first token from the expert", buckets.TTFT, *by_mode
            )
        )
        self.inter_token = Children(
            add.histogram(
                "inter_token_seconds",
                "Gap between consecutive messages of an answer, divided by the tokens the later one carries",
                buckets.INTER_TOKEN,
                *by_mode,
            )
        )
        self.per_output_token = Children(
            add.histogram(
                "time_per_output_token_seconds",
                "(last token - first token) / (tokens - 1) of a request",
                buckets.INTER_TOKEN,
                *by_mode,
            )
        )
        self.overhead = add.histogram(
            "gateway_overhead_seconds", "Request received to dispatch, the wait for a permit left out", buckets.GATEWAY
        )
        self.tokens = Children(add.counter("tokens", "Tokens of answers, also of cancelled ones", "expert", "kind"))
        self.padded_tokens = Children(
            add.counter("padded_prompt_tokens", "Tokens prefilled beyond the prompt, to fill a static shape", "expert")
        )
        self.wasted_tokens = Children(
            add.counter("wasted_tokens", "Completion tokens of requests that were cancelled or failed", "expert")
        )
        self.stream_errors = Children(
            add.counter("stream_errors", "Answers that broke after their first token, by error code", "expert", "code")
        )
        self.tool_calls = add.counter("tool_calls", "Tool calls that the model began, by outcome", "expert", "outcome")
        self.structured_answers = add.counter(
            "structured_answers", "Answers that were to have a form (response_format), by outcome", "expert", "outcome"
        )
        self.dropped_citations = add.counter(
            "dropped_citations", "Citations [n] that named no document, taken out of the answer", "expert"
        )
