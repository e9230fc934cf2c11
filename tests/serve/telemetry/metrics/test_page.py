"""One page out of one process or of several."""

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from serve.telemetry.metrics import Metrics
from serve.telemetry.metrics.page import merge, page, snapshot


def value(text: bytes, name: str, **labels: str) -> float:
    families = text_string_to_metric_families(text.decode())
    found = [s.value for family in families for s in family.samples if s.name == name and s.labels == labels]
    assert len(found) == 1, (name, labels, found)
    return found[0]


def worker(requests: int, lag_s: float, is_ready: bool) -> Metrics:
    metrics = Metrics(CollectorRegistry())
    metrics.requests.ended.labels("coder", "http", "ok").inc(requests)
    metrics.requests.in_flight.labels("coder").inc(requests)
    metrics.process.loop_lag.observe(lag_s, {"trace_id": f"{requests:032x}"})
    metrics.experts.ready("coder", is_ready)
    metrics.experts.load("coder", requests, 0)
    metrics.process.build("abc")
    return metrics


def test_workers_become_one() -> None:
    workers = [worker(1, 0.02, True), worker(2, 0.3, False)]
    joined = merge([snapshot(metrics.registry) for metrics in workers], workers[0].across)
    text = generate_latest(joined)
    assert value(text, "moegate_requests_total", expert="coder", door="http", outcome="ok") == 3
    assert value(text, "moegate_requests_in_flight", expert="coder") == 3
    assert value(text, "moegate_event_loop_lag_seconds_count") == 2
    assert value(text, "moegate_event_loop_lag_seconds_bucket", le="0.025") == 1
    assert value(text, "moegate_event_loop_lag_seconds_bucket", le="+Inf") == 2
    assert value(text, "moegate_expert_ready", expert="coder") == 0  # ready when every worker says so
    assert value(text, "moegate_expert_sequences_running", expert="coder") == 2  # both see the same expert
    assert text.count(b"moegate_build_info{") == 1
    assert text.count(b"# TYPE moegate_requests_total") == 1


def test_one_worker_is_itself() -> None:
    metrics = worker(5, 0.02, True)
    assert generate_latest(merge([snapshot(metrics.registry)], metrics.across)) == generate_latest(
        page(metrics.registry)
    )


def test_exemplars_survive() -> None:
    metrics = worker(7, 0.02, True)
    text = generate_openmetrics(merge([snapshot(metrics.registry)], metrics.across))
    assert f'# {{trace_id="{7:032x}"}} 0.02'.encode() in text


def test_the_librarys_creation_times_are_left_out() -> None:
    assert b"_created" not in generate_latest(page(worker(1, 0.0, True).registry))
