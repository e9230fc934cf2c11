"""A request's part in what its API key has used."""

from serve.costs.tariffs import usd
from serve.telemetry.metrics.keys import KeyMetrics
from serve.telemetry.observer import Observer
from serve.telemetry.record import RequestRecord


class KeyObserver(Observer):
    """Counts requests, tokens and USD by key; nothing of a caller without one."""

    def __init__(self, metrics: KeyMetrics) -> None:
        self._metrics = metrics

    def ended(self, record: RequestRecord) -> None:
        """Count it, with the attempts that came to nothing."""
        name = record.request.caller.name
        if not name:
            return
        metrics, key = self._metrics, self._metrics.label(name)
        works = (record.work, *(loss.work for loss in record.losses))
        metrics.requests.labels(key).inc()
        metrics.tokens.labels(key, "prompt").inc(sum(work.prompt_tokens for work in works))
        metrics.tokens.labels(key, "completion").inc(sum(work.completion_tokens for work in works))
        metrics.cost.labels(key).inc(usd(record.cost_pico))
