"""Metrics of money and energy: the ledger's sums, read when `/metrics` is scraped.

It is a collector of its own, because the ledger counts in whole picodollars and a client library's counter in floats.
"""

from collections.abc import Iterable, Iterator

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from serve.costs.ledger import Ledger
from serve.costs.tariffs import PICO
from serve.telemetry.metrics.registrar import PREFIX, Across, Registrar

_JOULES_PER_KWH = 3.6e6

Rows = Iterable[tuple[tuple[str, ...], float]]


class MoneyMetrics(Collector):
    """Shows a ledger; shows the families empty until it is given one."""

    def __init__(self, add: Registrar) -> None:
        self._ledger: Ledger | None = None
        add.across[f"{PREFIX}saved_usd"] = Across.SUM
        add.registry.register(self)

    def show(self, ledger: Ledger) -> None:
        """Show this ledger from now on."""
        self._ledger = ledger

    def describe(self) -> Iterable[Metric]:
        """Name the families without reading a ledger."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The families, in order."""
        yield from self._spent(self._ledger)
        yield from self._compared(self._ledger)
        yield from self._energy(self._ledger)

    def _spent(self, books: Ledger | None) -> Iterator[Metric]:
        spent = [] if books is None else [((e, books.tariffs[e].basis), _usd(p)) for e, p in books.spent.items()]
        wasted = [] if books is None else [((e, cause.value), _usd(p)) for (e, cause), p in books.wasted.items()]
        yield _counter(
            "cost_usd", "USD spent on answers, also on those that came to nothing", ("expert", "basis"), spent
        )
        yield _counter("wasted_cost_usd", "USD of it spent on nothing, by cause", ("expert", "cause"), wasted)
        recalled = [] if books is None else [((expert,), _usd(pico)) for expert, pico in books.recalled.items()]
        yield _counter("cache_saved_usd", "USD that kept answers cost when they were made", ("expert",), recalled)
        router = [] if books is None else [((), _usd(books.router))]
        yield _counter("router_cost_usd", "USD of the gateway's compute that deciding took", (), router)
        provisioned = [] if books is None else [((), _usd(books.provisioned))]
        yield _counter("provisioned_cost_usd", "USD that the fleet has cost since start", (), provisioned)
        idle = [] if books is None else [((), _usd(books.idle))]
        yield _counter("idle_cost_usd", "USD of it that no request used", (), idle)

    def _compared(self, books: Ledger | None) -> Iterator[Metric]:
        rows = [] if books is None else [((name,), _usd(pico)) for name, pico in books.elsewhere.items()]
        yield _counter("baseline_cost_usd", "USD that the same tokens would have cost there", ("baseline",), rows)
        spent = 0.0 if books is None else _usd(books.spent.total())
        saved = GaugeMetricFamily(
            f"{PREFIX}saved_usd",
            "USD saved since start against it; below 0 it would have been cheaper",
            labels=("baseline",),
        )
        for labels, there in rows:
            saved.add_metric(labels, there - spent)
        yield saved

    def _energy(self, books: Ledger | None) -> Iterator[Metric]:
        rows = [] if books is None else [((e, books.tariffs[e].energy_source), j) for e, j in books.joules.items()]
        yield _counter("energy_joules", "Energy of the machine time behind answers", ("expert", "source"), rows)
        grams = 0.0 if books is None else books.gco2e_per_kwh / _JOULES_PER_KWH
        carbon = [(labels, joules * grams) for labels, joules in rows]
        yield _counter("co2e_grams", "Grams of CO2 equivalent of that energy", ("expert", "source"), carbon)


def _usd(pico: int) -> float:
    return pico / PICO


def _counter(name: str, text: str, labels: tuple[str, ...], rows: Rows) -> Metric:
    family = CounterMetricFamily(PREFIX + name, text, labels=labels)
    for values, value in rows:
        family.add_metric(values, value)
    return family
