"""Metrics of the cache of answers; the ledger knows what it has saved."""

from serve.telemetry.metrics.registrar import Children, Registrar


class CacheMetrics:
    """`serve.steps.cache.step` writes them."""

    def __init__(self, add: Registrar) -> None:
        self.requests = Children(
            add.counter("cache_requests", "Requests that may have a kept answer: `hit`, `miss` or `failed`", "outcome")
        )
