"""The catalogue: what the shipped one says, and that every mistake is named with its file, expert and field."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from experts.catalog.prices import Price, UsdPerMillion
from experts.catalog.spec import CatalogError, ExpertSpec, load_catalog


def _expert(**changes: Any) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": "alpha",
        "description": "answers",
        "base": "pypi:some-wheel==1.0",
        "context_window": 128,
        "price": {"usd_per_million": {"prompt": 1, "completion": 2}},
        "licence": "MIT",
    }
    return entry | changes


def _write(path: Path, experts: list[dict[str, Any]], default: str = "alpha") -> Path:
    file = path / "experts.yaml"
    file.write_text(yaml.safe_dump({"experts": experts, "default": default}))
    return file


def test_shipped_catalogue_has_the_five_experts() -> None:
    catalog = load_catalog()
    assert catalog.names == ("researcher", "coder", "advisor", "tool-caller", "generalist")
    assert catalog.default == "generalist"
    for expert in catalog.experts:
        assert expert.sampling.max_tokens < expert.context_window
        assert 0 < expert.price.usd_per_prompt_token < expert.price.usd_per_completion_token


def test_get_knows_only_its_experts(tmp_path: Path) -> None:
    catalog = load_catalog(_write(tmp_path, [_expert()]))
    assert isinstance(catalog.get("alpha"), ExpertSpec)
    assert catalog.get("beta") is None


def test_configured_price_is_per_million() -> None:
    price = Price(usd_per_million=UsdPerMillion(prompt=2, completion=8))
    assert price.usd_per_prompt_token == pytest.approx(2e-6)
    assert price.usd_per_completion_token == pytest.approx(8e-6)


def test_measured_price_spreads_the_instance_over_its_throughput() -> None:
    price = Price(instance_usd_per_hour=3.6, prompt_tokens_per_s=1000, completion_tokens_per_s=100)
    assert price.usd_per_prompt_token == pytest.approx(1e-6)
    assert price.usd_per_completion_token == pytest.approx(1e-5)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"contxt_window": 5}, ["'alpha'", "contxt_window"]),
        ({"context_window": 1}, ["'alpha'", "context_window"]),
        ({"name": "Alpha"}, ["'Alpha'", "name"]),
        ({"base": "ftp://weights"}, ["'alpha'", "base"]),
        ({"base": "hf:only-one-part"}, ["'alpha'", "base"]),
        ({"engine": "abacus"}, ["'alpha'", "engine", "openvino"]),
        ({"price": {}}, ["'alpha'", "price", "usd_per_million"]),
        ({"price": {"instance_usd_per_hour": 1}}, ["'alpha'", "price", "prompt_tokens_per_s"]),
        ({"price": {"usd_per_million": {"prompt": 1, "completion": 1}, "instance_usd_per_hour": 1}}, ["not both"]),
        ({"price": {"usd_per_million": {"prompt": float("inf"), "completion": 1}}}, ["usd_per_million.prompt"]),
        ({"scaling": {"min_replicas": 3}}, ["'alpha'", "scaling", "max_replicas"]),
        ({"sampling": {"top_p": 0}}, ["'alpha'", "sampling.top_p"]),
        ({"engine_options": {"script": ["a", "list"]}}, ["'alpha'", "engine_options.script"]),
    ],
)
def test_mistakes_are_named(tmp_path: Path, changes: dict[str, Any], words: list[str]) -> None:
    file = _write(tmp_path, [_expert(**changes)])
    with pytest.raises(CatalogError) as caught:
        load_catalog(file)
    for word in [str(file), *words]:
        assert word in str(caught.value)


def test_nameless_expert_is_counted_from_one(tmp_path: Path) -> None:
    nameless = _expert()
    del nameless["name"]
    with pytest.raises(CatalogError, match="expert number 2: name: Field required"):
        load_catalog(_write(tmp_path, [_expert(), nameless]))


def test_names_are_unique(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="repeated: alpha"):
        load_catalog(_write(tmp_path, [_expert(), _expert()]))


def test_default_is_an_expert(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="'omega' is none of the experts"):
        load_catalog(_write(tmp_path, [_expert()], default="omega"))


@pytest.mark.parametrize("text", ["experts: [", "", "- 1", "experts: {}", "experts: [3]\ndefault: a", "\x00"])
def test_broken_files_are_catalogue_errors(tmp_path: Path, text: str) -> None:
    file = tmp_path / "experts.yaml"
    file.write_text(text)
    with pytest.raises(CatalogError, match=r"experts\.yaml"):
        load_catalog(file)


def test_missing_file_is_a_catalogue_error(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"nowhere\.yaml"):
        load_catalog(tmp_path / "nowhere.yaml")


def test_specs_do_not_change(tmp_path: Path) -> None:
    catalog = load_catalog(_write(tmp_path, [_expert()]))
    with pytest.raises(ValueError, match="frozen"):
        catalog.experts[0].name = "other"
