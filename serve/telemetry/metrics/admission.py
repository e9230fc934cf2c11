"""Metrics of admission: how many requests wait for a permit, and how long."""

from serve.telemetry.metrics import buckets
from serve.telemetry.metrics.registrar import Registrar


class AdmissionMetrics:
    """`serve.telemetry.observers.metrics` and `serve.app` write them."""

    def __init__(self, add: Registrar) -> None:
        self.wait = add.histogram("admission_wait_seconds", "Wait for a permit", buckets.GATEWAY)
        self.waiting = add.gauge("admission_waiting", "Requests waiting for a permit")
