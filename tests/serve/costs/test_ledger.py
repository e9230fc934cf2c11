"""The books, and how the settings open them."""

import pytest

from experts.catalog.prices import PricesError, load_prices
from experts.catalog.spec import load_catalog
from serve.costs.ledger import Ledger, Waste, open_ledger
from serve.costs.tariffs import PICO, Tariff, Work
from serve.settings.tree import CostSettings

LISTED = Tariff("coder", "configured", prompt=2.0, completion=3.0)
MACHINE = Tariff("advisor", "occupancy", 1.0, 1.0, slot_second=1e6, joules_per_usd=100.0, energy_source="measured")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_books_balance() -> None:
    books = Ledger({"coder": LISTED, "advisor": MACHINE}, {"far": Tariff("far", "configured", 100.0, 100.0)})
    assert books.spend("coder", Work(10, 5)) == 35
    books.compare(Work(10, 5))
    books.spend("coder", Work(1, 0), Waste.CANCELLED)
    books.spend("advisor", Work(slot_s=2.0), Waste.HEDGED)
    assert books.spend("nobody", Work(9, 9)) == 0
    assert books.spent == {"coder": 37, "advisor": 2_000_000}
    assert books.wasted["coder", Waste.CANCELLED] == 2
    assert books.wasted["advisor", Waste.HEDGED] == 2_000_000
    assert books.elsewhere == {"far": 1500}
    assert books.joules == {"advisor": pytest.approx(2e6 / PICO * 100)}


def test_idle_is_what_the_fleet_costs_and_nobody_uses() -> None:
    clock = Clock()
    books = Ledger({"coder": LISTED}, {}, fleet_usd_per_hour=3600 / PICO, router_usd_per_hour=7200 / PICO, clock=clock)
    clock.now = 100.0
    assert (books.provisioned, books.idle) == (100, 100)
    books.spend("coder", Work(20, 0))
    clock.now = 110.0
    assert (books.provisioned, books.idle) == (110, 100)  # a counter never falls
    clock.now = 200.0
    assert books.idle == 160
    books.routed(1.5)
    assert books.router == 3


def test_settings_open_the_books() -> None:
    catalog, prices = load_catalog(), load_prices()
    books = open_ledger(catalog, prices, CostSettings())
    assert set(books.baselines) == {"generalist", "llama-3.3-70b"}
    assert books.baselines["llama-3.3-70b"].pico_usd(Work(10**6, 10**6)) == 1.44 * PICO
    two = open_ledger(catalog, prices, CostSettings(fleet={"inf2.xlarge": 3}, baseline_expert="coder"), workers=2)
    assert set(two.baselines) == {"coder", "llama-3.3-70b"}
    assert two._fleet == pytest.approx(0.7582 * 1.5 * PICO / 3600)


@pytest.mark.parametrize(
    "settings",
    [CostSettings(fleet={"huge": 1}), CostSettings(baseline_expert="me"), CostSettings(gateway_instance="z")],
)
def test_settings_that_name_nothing_are_refused(settings: CostSettings) -> None:
    with pytest.raises(PricesError):
        open_ledger(load_catalog(), load_prices(), settings)
