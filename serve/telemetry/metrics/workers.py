"""Metrics of the gateway's workers; the supervisor's own, shown on every worker's page."""

from serve.telemetry.metrics.registrar import Registrar


class WorkerMetrics:
    """`serve.workers.supervisor` writes them. A gateway of one process has none."""

    def __init__(self, add: Registrar) -> None:
        self.restarts = add.counter("worker_restarts", "Gateway workers that ended by themselves and were replaced")
