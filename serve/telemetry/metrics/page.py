"""What `/metrics` serves: the metrics of one process, or those of several workers merged.

Each worker provides a `snapshot` of its registry (bytes; how they travel does not matter). The worker that is scraped
joins the snapshots with `merge`, which `prometheus_client.exposition` encodes. Counters and histograms add up, gauges
combine as `Across` says. The client library's `_created` series are left out: they double the series and nobody reads
them.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.samples import Exemplar, Sample

from serve.telemetry.metrics.registrar import Across

_Key = tuple[str, tuple[tuple[str, str], ...]]


class Page:
    """Metric families by the method that the exposition asks for."""

    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        """The families, in order."""
        return self._families


def page(registry: CollectorRegistry) -> Page:
    """One process's page."""
    return Page([_slim(family) for family in registry.collect()])


def snapshot(registry: CollectorRegistry) -> bytes:
    """A worker's metrics as JSON, for `merge`."""
    families = page(registry).collect()
    return orjson.dumps([(f.name, f.documentation, f.type, [_row(sample) for sample in f.samples]) for f in families])


def merge(snapshots: Iterable[bytes], across: Mapping[str, Across]) -> Page:
    """Join workers' snapshots.

    Args:
        snapshots: what `snapshot` gave in each worker.
        across: `Metrics.across`; a gauge that is not in it is summed.
    """
    merged: dict[str, Metric] = {}
    values: dict[str, dict[_Key, Sample]] = {}
    for raw in snapshots:
        for name, text, kind, rows in orjson.loads(raw):
            merged.setdefault(name, Metric(name, text, kind))
            mine = values.setdefault(name, {})
            how = across.get(name, Across.SUM) if kind == "gauge" else Across.SUM
            for sample in map(_sample, rows):
                key = (sample.name, tuple(sorted(sample.labels.items())))
                mine[key] = _join(mine.get(key), sample, how)
    for name, family in merged.items():
        family.samples = list(values[name].values())
    return Page(list(merged.values()))


def _join(one: Sample | None, other: Sample, how: Across) -> Sample:
    if one is None:
        return other
    match how:
        case Across.SUM:
            value = one.value + other.value
        case Across.MAX:
            value = max(one.value, other.value)
        case Across.MIN:
            value = min(one.value, other.value)
    return other._replace(value=value, exemplar=other.exemplar or one.exemplar)


def _slim(family: Metric) -> Metric:
    family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
    return family


def _row(sample: Sample) -> tuple[str, dict[str, str], str, list[Any] | None]:
    """A sample for JSON, which knows neither infinity nor NaN: its value as text."""
    exemplar = sample.exemplar
    return (
        sample.name,
        dict(sample.labels),
        repr(float(sample.value)),
        [dict(exemplar.labels), exemplar.value, exemplar.timestamp] if exemplar else None,
    )


def _sample(row: tuple[str, dict[str, str], str, list[Any] | None]) -> Sample:
    name, labels, value, exemplar = row
    return Sample(name, labels, float(value), None, Exemplar(*exemplar) if exemplar else None)
