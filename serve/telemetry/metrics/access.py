"""Metrics of access and limits. A key's name is never a label, because the number of keys is unbounded."""

from serve.telemetry.metrics.registrar import Registrar


class AccessMetrics:
    """`serve.app` hands them to those who write them."""

    def __init__(self, add: Registrar) -> None:
        self.limited = add.counter(
            "limited_requests", "Requests refused for their key's limits, by what was used up", "kind"
        )
        self.store_failures = add.counter(
            "limit_store_failures", "Times that Redis did not answer and limits were kept in the process"
        )
