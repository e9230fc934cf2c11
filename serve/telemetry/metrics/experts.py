"""Metrics of the experts as this gateway sees them: up or down, and how busy they report to be."""

from serve.telemetry.metrics import buckets
from serve.telemetry.metrics.registrar import Across, Children, Registrar


class ExpertMetrics:
    """`serve.dispatch.health` writes them."""

    def __init__(self, add: Registrar) -> None:
        self._ready = add.gauge("expert_ready", "1 when the expert answers its probes", "expert", across=Across.MIN)
        self._running = Children(
            add.gauge(
                "expert_sequences_running",
                "Sequences in the expert's batch, as last heard",
                "expert",
                across=Across.MAX,
            )
        )
        self._waiting = Children(
            add.gauge(
                "expert_sequences_waiting", "Sequences queued before it, as last heard", "expert", across=Across.MAX
            )
        )
        self._queue = Children(
            add.histogram(
                "expert_queue_seconds",
                "Wait for a slot of the expert's batch, by the replica's clock",
                buckets.QUEUE,
                "expert",
            )
        )

    def ready(self, expert: str, is_ready: bool) -> None:
        """Record a probe's verdict."""
        self._ready.labels(expert).set(is_ready)

    def load(self, expert: str, running: int, waiting: int) -> None:
        """Record how busy an expert says it is."""
        self._running.labels(expert).set(running)
        self._waiting.labels(expert).set(waiting)

    def queued(self, expert: str, seconds: float) -> None:
        """Record how long an answer's sequence waited before its first step."""
        self._queue.labels(expert).observe(seconds)
