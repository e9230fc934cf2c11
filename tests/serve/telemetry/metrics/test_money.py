"""The ledger's sums as metrics: USD out of picodollars, joules, grams."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from serve.costs.ledger import Ledger, Waste
from serve.costs.tariffs import PICO, Tariff, Work
from serve.telemetry.metrics import Metrics
from serve.telemetry.metrics.page import merge, snapshot
from tests.helpers import sample

LISTED = Tariff("coder", "configured", prompt=2.0, completion=3.0)
MACHINE = Tariff("advisor", "occupancy", 1.0, 1.0, slot_second=1e6, joules_per_usd=100.0, energy_source="measured")


def shown(books: Ledger) -> Metrics:
    metrics = Metrics(CollectorRegistry())
    metrics.money.show(books)
    return metrics


def test_the_metrics_show_the_books() -> None:
    metrics = Metrics(CollectorRegistry())
    books = Ledger(
        {"coder": LISTED, "advisor": MACHINE}, {"far": Tariff("far", "configured", 1e6, 1e6)}, gco2e_per_kwh=360
    )
    metrics.money.show(books)
    books.spend("advisor", Work(slot_s=1e6), Waste.FAILED)
    books.compare(Work(3_000_000, 0))

    def read(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(name, labels)

    assert read("moegate_cost_usd_total", expert="advisor", basis="occupancy") == 1.0
    assert read("moegate_cost_usd_total", expert="coder", basis="configured") == 0.0
    assert read("moegate_wasted_cost_usd_total", expert="advisor", cause="failed") == 1.0
    assert read("moegate_baseline_cost_usd_total", baseline="far") == 3.0
    assert read("moegate_saved_usd", baseline="far") == 2.0
    assert read("moegate_energy_joules_total", expert="advisor", source="measured") == 100.0
    assert read("moegate_co2e_grams_total", expert="advisor", source="measured") == pytest.approx(0.01)
    assert read("moegate_energy_joules_total", expert="coder", source="modelled") is None  # no machine, no energy


def test_without_books_the_families_are_there_and_empty() -> None:
    metrics = Metrics(CollectorRegistry())
    money = {family.name: family.samples for family in metrics.money.collect()}
    assert {"moegate_cost_usd", "moegate_saved_usd", "moegate_co2e_grams"} <= money.keys()
    assert not any(money.values())


def test_the_books_are_read_at_each_scrape() -> None:
    books = Ledger({"coder": LISTED}, {})
    metrics = shown(books)
    seen = []
    for _ in range(3):
        books.spend("coder", Work(prompt_tokens=PICO))
        seen.append(sample(metrics.registry, "cost_usd_total", expert="coder", basis="configured"))
    assert seen == [2.0, 4.0, 6.0]


def test_time_and_the_router_cost_as_well() -> None:
    clock = iter([0.0, *[1800.0] * 10])
    books = Ledger({"coder": LISTED}, {}, fleet_usd_per_hour=8, router_usd_per_hour=2, clock=lambda: next(clock))
    books.spend("coder", Work(prompt_tokens=PICO // 2))
    books.routed(900)
    metrics = shown(books)
    assert sample(metrics.registry, "provisioned_cost_usd_total") == 4.0
    assert sample(metrics.registry, "idle_cost_usd_total") == 3.0
    assert sample(metrics.registry, "router_cost_usd_total") == 0.5


def test_what_would_have_been_cheaper_elsewhere_is_below_0() -> None:
    books = Ledger({"coder": LISTED}, {"near": Tariff("near", "configured", 0.5, 0.5)})
    books.spend("coder", Work(PICO, 0))
    books.compare(Work(PICO, 0))
    assert sample(shown(books).registry, "saved_usd", baseline="near") == -1.5


@given(st.lists(st.integers(0, 10**9), max_size=30))
def test_many_small_prices_add_up_without_a_loss(tokens: list[int]) -> None:
    books = Ledger({"coder": LISTED}, {})
    for count in tokens:
        books.spend("coder", Work(count, 0))
    assert sample(shown(books).registry, "cost_usd_total", expert="coder", basis="configured") == 2 * sum(tokens) / PICO


def test_savings_of_several_workers_add_up() -> None:
    workers = []
    for tokens in (PICO, 2 * PICO):
        books = Ledger({"coder": LISTED}, {"far": Tariff("far", "configured", 10.0, 10.0)})
        books.spend("coder", Work(tokens, 0))
        books.compare(Work(tokens, 0))
        workers.append(shown(books))
    joined = merge([snapshot(one.registry) for one in workers], workers[0].across)
    assert [f.samples[0].value for f in joined.collect() if f.name == "moegate_saved_usd"] == [24.0]
