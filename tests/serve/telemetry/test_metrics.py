"""All metrics together: one registry each, no name twice, every gauge with its meaning across workers, zeros first."""

import re

import pytest
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import generate_latest

from router.decision import Reason
from serve.telemetry.metrics import Metrics
from serve.telemetry.metrics.page import page
from tests.helpers import sample

EXPERTS = ("coder", "advisor")


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(CollectorRegistry())


def families(metrics: Metrics) -> list[Metric]:
    return list(page(metrics.registry).collect())


def test_each_process_has_its_own(metrics: Metrics) -> None:
    other = Metrics(CollectorRegistry())
    other.requests.ended.labels("coder", "http", "ok").inc()
    assert sample(metrics.registry, "requests_total", expert="coder", door="http", outcome="ok") is None
    with pytest.raises(ValueError, match="Duplicated"):
        Metrics(metrics.registry)


def test_every_gauge_says_what_several_workers_make_of_it(metrics: Metrics) -> None:
    gauges = {family.name for family in families(metrics) if family.type == "gauge"}
    assert gauges == metrics.across.keys()
    assert len(gauges) > 8


def test_names_carry_our_prefix_and_a_base_unit(metrics: Metrics) -> None:
    """Prometheus names its time series in seconds, never in milliseconds: https://prometheus.io/docs/practices/naming/"""
    for family in families(metrics):
        assert re.fullmatch(r"moegate(_[a-z0-9]+)+", family.name), family.name
        assert not re.search(r"_(ms|us|millis|minutes|total)$", family.name), family.name
        assert family.documentation
        assert family.type != "histogram" or family.name.endswith(("_seconds", "_confidence")), family.name


def test_what_has_not_happened_is_0_once_it_is_expected(metrics: Metrics) -> None:
    def read(name: str, **labels: str) -> float | None:
        return sample(metrics.registry, name, **labels)

    assert read("tokens_total", expert="coder", kind="prompt") is None
    metrics.expect(EXPERTS)
    for expert in EXPERTS:
        assert read("tokens_total", expert=expert, kind="prompt") == 0
        assert read("requests_total", expert=expert, door="grpc", outcome="cancelled") == 0
        assert read("stream_errors_total", expert=expert, code="expert_failed") == 0
        assert read("feedback_total", expert=expert, verdict="bad") == 0
        assert all(read("route_decisions_total", expert=expert, reason=reason.value) == 0 for reason in Reason)
        assert all(read("fallbacks_total", expert=expert, to=to) == 0 for to in EXPERTS)
    for refused in ("overloaded", "expert_unavailable", "deadline_exceeded"):
        assert read("requests_total", expert="none", door="http", outcome=refused) == 0


def test_expecting_twice_loses_no_count(metrics: Metrics) -> None:
    metrics.expect(EXPERTS)
    metrics.requests.tokens.labels("coder", "prompt").inc(5)
    metrics.expect(EXPERTS)
    assert sample(metrics.registry, "tokens_total", expert="coder", kind="prompt") == 5


def test_a_page_can_be_written_before_anything_has_happened(metrics: Metrics) -> None:
    assert b"# TYPE moegate_requests_total counter" in generate_latest(page(metrics.registry))
