"""Tariffs: what a piece of work costs, out of the catalogue's price."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experts.catalog.prices import Price, UsdPerMillion, load_prices
from experts.catalog.spec import load_catalog
from serve.costs.tariffs import PICO, Tariff, Work, baseline_tariffs, tariffs, usd
from tests.helpers import catalog_of, expert_spec

LISTED = Tariff("coder", "configured", prompt=2.0, completion=3.0)
MACHINE = Tariff("advisor", "occupancy", 1.0, 1.0, slot_second=1e6)


def test_a_price_is_whole_picodollars() -> None:
    assert LISTED.pico_usd(Work(10, 5)) == 35
    assert Tariff("x", "measured", 0.3, 0.3).pico_usd(Work(1, 1)) == 1
    assert MACHINE.pico_usd(Work(10, 5, slot_s=0.25)) == 250_000  # tokens do not matter, the slot does


def test_the_shipped_catalogue_is_priced_by_machine() -> None:
    rates = tariffs(load_catalog(), load_prices())
    coder = rates["coder"]
    assert coder.basis == "measured"
    assert coder.pico_usd(Work(0, 1120 * 3600)) == pytest.approx(0.7582 * PICO, rel=1e-9)  # an hour of tokens
    watts = 4 * 3.5 * 1.135
    assert coder.joules_per_usd == pytest.approx(watts * 3600 / 0.7582)
    assert coder.energy_source == "modelled"


def test_a_configured_price_is_per_million_and_knows_no_machine() -> None:
    price = Price(usd_per_million=UsdPerMillion(prompt=0.25, completion=2))
    tariff = tariffs(catalog_of(expert_spec("coder", price=price)), load_prices())["coder"]
    assert tariff.pico_usd(Work(10**6, 0, slot_s=99)) == 0.25 * PICO
    assert tariff.pico_usd(Work(0, 10**6)) == 2 * PICO
    assert (tariff.basis, tariff.joules_per_usd) == ("configured", None)


@pytest.mark.parametrize(("share", "batch"), [(1.0, 1), (1.0, 4), (0.5, 4)])
def test_by_occupancy_a_full_batch_for_an_hour_costs_the_replicas_hour(share: float, batch: int) -> None:
    price = Price(
        instance_usd_per_hour=3.6,
        share=share,
        prompt_tokens_per_s=100,
        completion_tokens_per_s=10,
        basis="occupancy",
    )
    tariff = tariffs(catalog_of(expert_spec("coder", price=price, max_batch_size=batch)), load_prices())["coder"]
    assert tariff.pico_usd(Work(5, 5, slot_s=3600)) * batch == pytest.approx(3.6 * share * PICO)
    assert tariff.pico_usd(Work(5, 5)) == 0


def test_a_machine_without_a_name_in_the_list_has_a_price_and_no_energy() -> None:
    price = Price(instance_usd_per_hour=3.6, prompt_tokens_per_s=100, completion_tokens_per_s=10)
    tariff = tariffs(catalog_of(expert_spec("coder", price=price)), load_prices())["coder"]
    assert tariff.pico_usd(Work(100, 0)) == pytest.approx(tariff.pico_usd(Work(0, 10)))
    assert tariff.joules_per_usd is None


def test_baselines_are_our_own_expert_and_the_models_of_the_list() -> None:
    prices = load_prices()
    baselines = baseline_tariffs(prices, LISTED)
    assert baselines["coder"] is LISTED
    assert set(baselines) == {"coder", *prices.baselines}
    for name, entry in prices.baselines.items():
        asked = entry.usd_per_million
        assert usd(baselines[name].pico_usd(Work(10**6, 0))) == pytest.approx(asked.prompt)
        assert usd(baselines[name].pico_usd(Work(0, 10**6))) == pytest.approx(asked.completion)


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.floats(0, 1e4), st.floats(0, 1e4))
def test_work_apart_costs_what_it_costs_together_but_for_rounding(a: int, b: int, prompt: float, each: float) -> None:
    tariff = Tariff("x", "measured", prompt, each)
    together = tariff.pico_usd(Work(a, b))
    assert isinstance(together, int)
    assert abs(together - tariff.pico_usd(Work(a, 0)) - tariff.pico_usd(Work(0, b))) <= 2
