"""Makes metrics on a registry that is handed in: prefix, base units, and what a gauge means across workers.

Every group of `serve.telemetry.metrics` is given one `Registrar`. A counter or histogram of several workers is their
sum; a gauge says itself (`across`) what several values of it mean, and `serve.telemetry.metrics.page` reads it there.
"""

from enum import StrEnum
from typing import Final, Generic, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

PREFIX: Final = "moegate_"


M = TypeVar("M", bound=MetricWrapperBase)


class Children(dict[tuple[str, ...], M], Generic[M]):
    """A metric's series by label values, made when first asked for.

    `labels` is the library's own, at a fraction of the cost. For values out of closed sets: nothing is ever dropped.
    """

    def __init__(self, metric: M) -> None:
        self._metric = metric

    def labels(self, *values: str) -> M:
        """The series of these values."""
        return self[values]

    def __missing__(self, values: tuple[str, ...]) -> M:
        child = self[values] = self._metric.labels(*values)
        return child


class Across(StrEnum):
    """What a gauge of several workers is."""

    SUM = "sum"  # each holds a part: requests in flight
    MAX = "max"  # each sees the same thing; the worst or the newest counts: an event loop's lag
    MIN = "min"  # likewise: an expert is ready when every worker says so


class Registrar:
    """Adds metrics to a registry.

    Attributes:
        registry: where they go.
        across: by a gauge's full name, what several workers' values make.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.across: dict[str, Across] = {}

    def counter(self, name: str, text: str, *labels: str) -> Counter:
        """Add a counter; `_total` is appended."""
        return Counter(PREFIX + name, text, labels, registry=self.registry)

    def gauge(self, name: str, text: str, *labels: str, across: Across = Across.SUM) -> Gauge:
        """Add a gauge."""
        self.across[PREFIX + name] = across
        return Gauge(PREFIX + name, text, labels, registry=self.registry)

    def histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        """Add a histogram."""
        return Histogram(PREFIX + name, text, labels, buckets=buckets, registry=self.registry)
