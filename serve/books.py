"""Opens the ledger as the settings want it: the catalogue's tariffs, what to compare with, what the fleet costs."""

from experts.catalog import Catalog
from experts.prices import PriceList, PricesError
from serve.cost import baseline_tariffs, tariffs
from serve.ledger import Ledger
from serve.settings import CostSettings


def open_books(catalog: Catalog, prices: PriceList, settings: CostSettings, *, workers: int = 1) -> Ledger:
    """Open them.

    Args:
        catalog: the experts.
        prices: the price list.
        settings: the fleet and the baselines.
        workers: gateway processes that share the fleet; each enters its part, so that their sum is the fleet's.

    Raises:
        PricesError: the settings name an instance or an expert that there is not.
    """
    rates = tariffs(catalog, prices)
    baseline = settings.baseline_expert or catalog.default
    if baseline not in rates:
        raise PricesError(f"cost.baseline_expert: {baseline!r} is no expert of the catalogue")
    fleet = settings.fleet if settings.fleet is not None else _one_of_each(catalog)
    for name in (*fleet, *((settings.gateway_instance,) if settings.gateway_instance else ())):
        if name not in prices.instances:
            raise PricesError(f"cost: {name!r} is not in the price list")
    gateway = prices.instances.get(settings.gateway_instance or next(iter(fleet), ""))
    return Ledger(
        rates,
        baseline_tariffs(prices, rates[baseline]),
        fleet_usd_per_hour=sum(prices.instances[name].usd_per_hour * count for name, count in fleet.items()) / workers,
        router_usd_per_hour=gateway.usd_per_hour / gateway.vcpus if gateway else 0.0,
        gco2e_per_kwh=prices.grid.gco2e_per_kwh,
    )


def _one_of_each(catalog: Catalog) -> dict[str, float]:
    """One instance of each type that the catalogue names: everything on one machine, as `moegate up` runs it."""
    return {expert.price.instance: 1.0 for expert in catalog.experts if expert.price.instance is not None}
