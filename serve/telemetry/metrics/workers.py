"""Metrics of the gateway's workers. The supervisor keeps them, and every worker's page shows them."""

from serve.telemetry.metrics.registrar import Registrar


class WorkerMetrics:
    """`serve.workers.supervisor` writes them. A gateway of one process has none."""

    def __init__(self, add: Registrar) -> None:
        self.restarts = add.counter("worker_restarts", "Gateway workers that ended by themselves and were replaced")
