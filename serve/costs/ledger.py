"""The ledger: what was spent, on what, and what it would have cost elsewhere; in whole picodollars.

`LedgerObserver` writes one entry for each request and one for each attempt that did not become the answer.
`serve.telemetry.metrics.money` shows the sums. Idle money is what the fleet has cost since start beyond what requests
used.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from enum import StrEnum

from experts.catalog.prices import PriceList, PricesError
from experts.catalog.spec import Catalog
from serve.costs.tariffs import PICO, PriceBook, Tariff, Work, baseline_tariffs, tariffs
from serve.settings.tree import CostSettings


class Waste(StrEnum):
    """Why money was wasted: a closed set, safe as a metric label."""

    CANCELLED = "cancelled"  # the client left
    FAILED = "failed"  # the expert broke, or the deadline passed
    FELL_BACK = "fell_back"  # another expert answered instead
    HANDED_BACK = "handed_back"  # none of the tools fitted; another expert answered
    RETRIED = "retried"  # the same expert was asked again
    HEDGED = "hedged"  # the other one of two was quicker
    SHADOW = "shadow"  # a candidate's answer beside the one that the user got


class Ledger:
    """One process's ledger.

    Attributes:
        book: the prices that hold now.
        spent: picodollars by expert, waste included.
        wasted: picodollars by expert and cause.
        recalled: picodollars by expert; what answers cost once that were given again from the cache.
        elsewhere: picodollars by baseline.
        router: picodollars of the router's own compute.
        joules: by expert.
    """

    def __init__(
        self,
        tariffs: Mapping[str, Tariff],
        baselines: Mapping[str, Tariff],
        *,
        fleet_usd_per_hour: float = 0.0,
        router_usd_per_hour: float = 0.0,
        gco2e_per_kwh: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.book = PriceBook(tariffs, baselines)
        self.gco2e_per_kwh = gco2e_per_kwh
        self.spent: Counter[str] = Counter(dict.fromkeys(tariffs, 0))
        self.wasted: Counter[tuple[str, Waste]] = Counter({(name, cause): 0 for name in tariffs for cause in Waste})
        self.recalled: Counter[str] = Counter(dict.fromkeys(tariffs, 0))
        self.elsewhere: Counter[str] = Counter(dict.fromkeys(baselines, 0))
        self.joules: dict[str, float] = {name: 0.0 for name, tariff in tariffs.items() if tariff.joules_per_usd}
        self.router = 0
        self._fleet = fleet_usd_per_hour * PICO / 3600
        self._router_second = router_usd_per_hour * PICO / 3600
        self._clock = clock
        self._opened_at = clock()
        self._idle = 0

    @property
    def tariffs(self) -> Mapping[str, Tariff]:
        """By expert, as they hold now."""
        return self.book.tariffs

    @property
    def baselines(self) -> Mapping[str, Tariff]:
        """What the same tokens would cost elsewhere, by name."""
        return self.book.baselines

    def price(self, expert: str, work: Work) -> int:
        """What a piece of work costs now, in picodollars; 0 for an expert that is in no catalogue."""
        return self.book.price(expert, work)

    def reprice(self, book: PriceBook) -> None:
        """Take other prices of the same experts. What has been spent stays; new baselines begin at nothing."""
        self.book = book
        for name in book.baselines:
            self.elsewhere.setdefault(name, 0)

    def spend(self, expert: str, work: Work, waste: Waste | None = None, *, pico: int | None = None) -> int:
        """Enter a finished piece of work; returns picodollars: as given, or at the prices that hold now."""
        tariff = self.tariffs.get(expert)
        if tariff is None:
            return 0
        pico = tariff.pico_usd(work) if pico is None else pico
        self.spent[expert] += pico
        if waste is not None:
            self.wasted[expert, waste] += pico
        if tariff.joules_per_usd:
            self.joules[expert] += pico / PICO * tariff.joules_per_usd
        return pico

    def save(self, expert: str, pico: int) -> None:
        """Enter what was not spent, because the answer was kept."""
        self.recalled[expert] += pico

    def compare(self, work: Work) -> None:
        """Enter what a request's work would have cost elsewhere. Lost attempts are not compared."""
        for name, tariff in self.baselines.items():
            self.elsewhere[name] += tariff.pico_usd(work)

    def routed(self, seconds: float) -> None:
        """Enter the router's compute."""
        self.router += round(seconds * self._router_second)

    @property
    def provisioned(self) -> int:
        """Picodollars that the fleet has cost since start."""
        return round((self._clock() - self._opened_at) * self._fleet)

    @property
    def idle(self) -> int:
        """Picodollars provisioned and not used, since start; never less than it was."""
        self._idle = max(self._idle, self.provisioned - self.spent.total())
        return self._idle


def open_ledger(catalog: Catalog, prices: PriceList, settings: CostSettings, *, workers: int = 1) -> Ledger:
    """Make the ledger.

    Args:
        catalog: the experts.
        prices: the price list.
        settings: the fleet and the baselines.
        workers: gateway processes that share the fleet; each enters its part, so that their sum is the fleet's.

    Raises:
        PricesError: the settings name an instance or an expert that there is not.
    """
    book = price_book(catalog, prices, settings)
    fleet = settings.fleet if settings.fleet is not None else _one_of_each(catalog)
    for name in (*fleet, *((settings.gateway_instance,) if settings.gateway_instance else ())):
        if name not in prices.instances:
            raise PricesError(f"cost: {name!r} is not in the price list")
    gateway = prices.instances.get(settings.gateway_instance or next(iter(fleet), ""))
    return Ledger(
        book.tariffs,
        book.baselines,
        fleet_usd_per_hour=sum(prices.instances[name].usd_per_hour * count for name, count in fleet.items()) / workers,
        router_usd_per_hour=gateway.usd_per_hour / gateway.vcpus if gateway else 0.0,
        gco2e_per_kwh=prices.grid.gco2e_per_kwh,
    )


def price_book(catalog: Catalog, prices: PriceList, settings: CostSettings) -> PriceBook:
    """Work out every price.

    Raises:
        PricesError: the settings name an expert that there is not.
    """
    rates = tariffs(catalog, prices)
    baseline = settings.baseline_expert or catalog.default
    if baseline not in rates:
        raise PricesError(f"cost.baseline_expert: {baseline!r} is no expert of the catalogue")
    return PriceBook(rates, baseline_tariffs(prices, rates[baseline]))


def _one_of_each(catalog: Catalog) -> dict[str, float]:
    """One instance of each type that the catalogue names: everything on one machine, as `moegate up` runs it."""
    return {expert.price.instance: 1.0 for expert in catalog.experts if expert.price.instance is not None}
