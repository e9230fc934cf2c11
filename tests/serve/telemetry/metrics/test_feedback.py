"""Metrics of feedback: labels in their order, and one error for all workers."""

from prometheus_client import CollectorRegistry

from serve.telemetry.metrics import Metrics
from serve.telemetry.metrics.page import merge, snapshot
from tests.helpers import sample


def test_each_verdict_and_each_better_expert_is_a_series_of_its_own() -> None:
    metrics = Metrics(CollectorRegistry())
    metrics.feedback.ratings.labels("coder", "bad").inc()
    metrics.feedback.better.labels("coder", "advisor").inc()
    metrics.feedback.calibration.labels("9", "good").inc()
    assert sample(metrics.registry, "feedback_total", expert="coder", verdict="bad") == 1
    assert sample(metrics.registry, "feedback_better_total", expert="coder", better="advisor") == 1
    assert sample(metrics.registry, "calibration_total", bin="9", verdict="good") == 1


def test_errors_of_several_workers_are_not_added_up() -> None:
    """Each is between 0 and 1; their sum would be no error at all."""
    workers = [Metrics(CollectorRegistry()) for _ in range(3)]
    for worker, error in zip(workers, (0.5, 0.75, 0.25), strict=True):
        worker.feedback.ece.set(error)
    joined = merge([snapshot(worker.registry) for worker in workers], workers[0].across)
    assert [f.samples[0].value for f in joined.collect() if f.name == "moegate_calibration_ece"] == [0.75]
