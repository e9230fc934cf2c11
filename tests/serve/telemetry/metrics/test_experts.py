"""Metrics of the experts as one gateway sees them, and as its workers see them together."""

import pytest
from prometheus_client import CollectorRegistry

from serve.telemetry.metrics import Metrics
from serve.telemetry.metrics.page import merge, snapshot
from tests.helpers import sample


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(CollectorRegistry())


def test_ready_is_the_latest_verdict(metrics: Metrics) -> None:
    seen = []
    for is_ready in (True, False, True):
        metrics.experts.ready("coder", is_ready)
        seen.append(sample(metrics.registry, "expert_ready", expert="coder"))
    assert seen == [1, 0, 1]


def test_running_and_waiting_are_not_swapped_and_not_added_up(metrics: Metrics) -> None:
    metrics.experts.load("coder", 9, 9)
    metrics.experts.load("coder", 4, 2)
    assert sample(metrics.registry, "expert_sequences_running", expert="coder") == 4
    assert sample(metrics.registry, "expert_sequences_waiting", expert="coder") == 2


@pytest.mark.parametrize(("waited_s", "le"), [(0.0, "0.001"), (0.02, "0.05"), (29.0, "30.0"), (31.0, "+Inf")])
def test_a_wait_falls_into_its_bucket(metrics: Metrics, waited_s: float, le: str) -> None:
    metrics.experts.queued("coder", waited_s)
    name = "expert_queue_seconds_bucket"
    bounds = [s.labels["le"] for m in metrics.registry.collect() for s in m.samples if s.name == f"moegate_{name}"]
    counts = [sample(metrics.registry, name, expert="coder", le=bound) for bound in bounds]
    assert bounds[counts.index(1)] == le


def test_one_worker_that_cannot_reach_an_expert_makes_it_not_ready() -> None:
    workers = [Metrics(CollectorRegistry()) for _ in range(3)]
    for at, worker in enumerate(workers):
        worker.experts.ready("coder", at != 1)
        worker.experts.load("coder", at, 0)
    joined = merge([snapshot(worker.registry) for worker in workers], workers[0].across)
    shown = {family.name: [one.value for one in family.samples] for family in joined.collect()}
    assert shown["moegate_expert_ready"] == [0]
    assert shown["moegate_expert_sequences_running"] == [2]  # all look at the same expert
