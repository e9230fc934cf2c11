"""The price list: the shipped one, and what is refused."""

from datetime import date
from pathlib import Path

import pytest
import yaml

from experts.catalog.prices import PriceList, PricesError, load_prices
from experts.catalog.spec import CatalogError, load_catalog

LIST = {
    "as_of": date(2026, 9, 1),
    "region": "us-east-1",
    "source": "a table",
    "instances": {
        "small": {"usd_per_hour": 3.6, "vcpus": 4, "host_gib": 16},
        "metered": {"usd_per_hour": 7.2, "vcpus": 4, "host_gib": 16, "watts": 100},
    },
    "power": {"watts_per_vcpu": 2.5, "overhead": 1.2, "source": "a model"},
    "grid": {"gco2e_per_kwh": 400, "source": "a register"},
}


def test_the_shipped_list_has_dates_sources_and_sane_figures() -> None:
    prices = load_prices()
    assert prices.instances["inf2.xlarge"].usd_per_hour == 0.7582
    assert prices.instances["inf2.48xlarge"].cores == 24
    for name, instance in prices.instances.items():
        assert 0 < instance.usd_per_hour < 100, name
        assert instance.cores == 2 * instance.accelerators, name  # two NeuronCores a chip, both generations
    assert prices.baselines["llama-3.3-70b"].source
    assert prices.grid.source
    assert prices.power.source


def test_a_draw_is_measured_or_modelled() -> None:
    prices = PriceList.model_validate(LIST)
    assert prices.watts("small") == (pytest.approx(4 * 2.5 * 1.2), "modelled")
    assert prices.watts("metered") == (pytest.approx(120), "measured")


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"instances": {"small": {"usd_per_hour": -1, "vcpus": 4, "host_gib": 16}}}, "usd_per_hour"),
        ({"grid": None}, "grid"),
        ({"colour": "blue"}, "colour"),
    ],
)
def test_a_wrong_list_is_refused_by_field(tmp_path: Path, change: dict[str, object], names: str) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(yaml.safe_dump(LIST | change))
    with pytest.raises(PricesError, match=names):
        load_prices(path)


def test_a_missing_list_is_named(tmp_path: Path) -> None:
    with pytest.raises(PricesError, match=r"nowhere\.yaml"):
        load_prices(tmp_path / "nowhere.yaml")


def catalog_with(price: dict[str, object], tmp_path: Path) -> Path:
    entry = {"name": "one", "description": "x", "base": "a/b", "context_window": 10, "licence": "MIT", "price": price}
    path = tmp_path / "experts.yaml"
    path.write_text(yaml.safe_dump({"experts": [entry], "default": "one"}))
    return path


def test_a_catalogue_names_an_instance(tmp_path: Path) -> None:
    path = catalog_with(
        {"instance": "small", "share": 0.5, "prompt_tokens_per_s": 10, "completion_tokens_per_s": 5}, tmp_path
    )
    price = load_catalog(path, PriceList.model_validate(LIST)).experts[0].price
    assert price.basis == "measured"
    assert price.usd_per_replica_second == pytest.approx(0.0005)
    assert price.usd_per_prompt_token == pytest.approx(0.00005)
    assert price.usd_per_completion_token == pytest.approx(0.0001)


def test_an_instance_that_is_not_in_the_list(tmp_path: Path) -> None:
    path = catalog_with({"instance": "huge", "prompt_tokens_per_s": 10, "completion_tokens_per_s": 5}, tmp_path)
    with pytest.raises(CatalogError, match="'huge' is not in the price list"):
        load_catalog(path)


def test_the_basis_must_fit_the_price(tmp_path: Path) -> None:
    listed = {"usd_per_million": {"prompt": 1, "completion": 1}}
    assert load_catalog(catalog_with(listed, tmp_path)).experts[0].price.basis == "configured"
    with pytest.raises(CatalogError, match="basis"):
        load_catalog(catalog_with(listed | {"basis": "occupancy"}, tmp_path))
