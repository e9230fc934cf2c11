"""Metrics of the decision: labels in their order, confidence in tenths and finer at the top, one artefact for all."""

import pytest
from prometheus_client import CollectorRegistry

from serve.telemetry.metrics import Metrics
from serve.telemetry.metrics.page import merge, snapshot
from tests.helpers import sample


def test_labels_stand_in_the_order_in_which_they_are_given() -> None:
    metrics = Metrics(CollectorRegistry())
    metrics.routing.decisions.labels("coder", "classified").inc()
    metrics.routing.turns.labels("moved").inc()
    metrics.routing.reloads.labels("refused").inc()
    assert sample(metrics.registry, "route_decisions_total", expert="coder", reason="classified") == 1
    assert sample(metrics.registry, "conversation_turns_total", move="moved") == 1
    assert sample(metrics.registry, "router_reloads_total", outcome="refused") == 1


@pytest.mark.parametrize(
    ("confidence", "below", "above"), [(0.05, None, "0.1"), (0.97, "0.95", "0.99"), (1.0, "0.99", "1.0")]
)
def test_confidence_has_buckets_up_to_certainty(confidence: float, below: str | None, above: str) -> None:
    metrics = Metrics(CollectorRegistry())
    metrics.routing.confidence.labels("coder").observe(confidence)
    name = "route_confidence_bucket"
    assert below is None or sample(metrics.registry, name, expert="coder", le=below) == 0
    assert sample(metrics.registry, name, expert="coder", le=above) == 1


def test_workers_share_one_artefact_and_see_their_own_drift() -> None:
    workers = [Metrics(CollectorRegistry()) for _ in range(2)]
    for worker, drift in zip(workers, (0.125, 0.5), strict=True):
        worker.routing.training_share.labels("coder").set(0.25)
        worker.routing.drift.set(drift)
    joined = merge([snapshot(worker.registry) for worker in workers], workers[0].across)
    shown = {family.name: [one.value for one in family.samples] for family in joined.collect()}
    assert shown["moegate_route_training_share"] == [0.25]
    assert shown["moegate_route_drift_psi"] == [0.5]
