"""Metrics of requests: labels in their order, buckets in seconds, who is in flight in all workers."""

import pytest
from prometheus_client import CollectorRegistry

from serve.telemetry.metrics import Metrics
from serve.telemetry.metrics.page import merge, snapshot
from tests.helpers import sample


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(CollectorRegistry())


def test_labels_stand_in_the_order_in_which_they_are_given(metrics: Metrics) -> None:
    requests = metrics.requests
    requests.ended.labels("coder", "http", "ok").inc()
    requests.tokens.labels("coder", "prompt").inc()
    requests.stream_errors.labels("coder", "expert_failed").inc()
    requests.tool_calls.labels("coder", "repaired").inc()
    requests.structured_answers.labels("coder", "cut").inc()
    read = metrics.registry
    assert sample(read, "requests_total", expert="coder", door="http", outcome="ok") == 1
    assert sample(read, "tokens_total", expert="coder", kind="prompt") == 1
    assert sample(read, "stream_errors_total", expert="coder", code="expert_failed") == 1
    assert sample(read, "tool_calls_total", expert="coder", outcome="repaired") == 1
    assert sample(read, "structured_answers_total", expert="coder", outcome="cut") == 1


@pytest.mark.parametrize(
    ("name", "seconds", "below", "above"),
    [
        ("time_to_first_token_seconds", 0.3, "0.25", "0.5"),
        ("inter_token_seconds", 0.02, "0.01", "0.025"),
        ("time_per_output_token_seconds", 0.02, "0.01", "0.025"),
        ("request_duration_seconds", 3.0, "2.56", "5.12"),
    ],
)
def test_usual_times_fall_between_two_buckets(
    metrics: Metrics, name: str, seconds: float, below: str, above: str
) -> None:
    requests = metrics.requests
    for histogram in (requests.ttft, requests.inter_token, requests.per_output_token, requests.duration):
        histogram.labels("coder", "stream").observe(seconds)
    counts = [
        sample(metrics.registry, f"{name}_bucket", expert="coder", mode="stream", le=bound) for bound in (below, above)
    ]
    assert counts == [0, 1]


def test_requests_in_flight_are_those_of_all_workers() -> None:
    workers = [Metrics(CollectorRegistry()) for _ in range(2)]
    for worker in workers:
        worker.requests.in_flight.labels("coder").inc(3)
    joined = merge([snapshot(worker.registry) for worker in workers], workers[0].across)
    assert [f.samples[0].value for f in joined.collect() if f.name == "moegate_requests_in_flight"] == [6]
