"""Metrics of who may come in. A key's name is never a label: there is no bound to how many there are."""

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
