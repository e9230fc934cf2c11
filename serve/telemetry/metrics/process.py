"""Metrics of the gateway process itself: which version runs, and whether its event loop keeps up."""

import asyncio
import platform
import time
from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from serve import __version__
from serve.telemetry.metrics import buckets
from serve.telemetry.metrics.registrar import Across, Registrar

LAG_INTERVAL_S: Final = 0.1


class ProcessMetrics:
    """`serve.app` and `serve.routing.reload` write them."""

    def __init__(self, add: Registrar) -> None:
        self.loop_lag = add.histogram(
            "event_loop_lag_seconds", "How late a timer of the event loop was", buckets.GATEWAY
        )
        self.lost_lines = add.counter("log_lines_lost", "Lines of log that could not be written")
        self._build = add.gauge(
            "build_info", "Constant 1, labelled by what runs", "version", "router", "python", across=Across.MAX
        )

    def build(self, router_version: str) -> None:
        """Say what runs; the router's version moves when the router is replaced."""
        self._build.clear()
        self._build.labels(__version__, router_version, platform.python_version()).set(1)

    async def watch_loop(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Measure ten times a second how late the event loop wakes a sleeping task."""
        while True:
            due = clock() + LAG_INTERVAL_S
            await asyncio.sleep(LAG_INTERVAL_S)
            self.loop_lag.observe(max(0.0, clock() - due))


def process_registry() -> CollectorRegistry:
    """A registry that also tells of the process itself: CPU, memory, files, garbage collection."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry
