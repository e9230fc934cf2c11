"""All recipes: whose they are, enough to learn from without any data, and the same each time."""

from __future__ import annotations

from pathlib import Path

import pytest

from experts.catalog.spec import load_catalog
from experts.training.recipe import RECIPES


def test_every_expert_with_an_adapter_has_a_recipe() -> None:
    assert {spec.name for spec in load_catalog().experts if spec.adapter} <= RECIPES.keys()


@pytest.mark.parametrize("expert", RECIPES)
def test_seeds_alone_are_enough_and_the_same_each_time(expert: str) -> None:
    made = RECIPES[expert].samples(None, 0)
    assert len(made) >= 180
    assert RECIPES[expert].samples(None, 0) == made


@pytest.mark.parametrize("expert", RECIPES)
def test_a_seed_decides_what_is_built(expert: str, data: Path) -> None:
    made = RECIPES[expert].samples(data, 0)
    assert RECIPES[expert].samples(data, 0) == made
    assert RECIPES[expert].samples(data, 1) != made


@pytest.mark.parametrize("expert", RECIPES)
def test_pairs_are_there_where_the_method_learns_from_them(expert: str) -> None:
    recipe = RECIPES[expert]
    assert recipe.hyperparameters.method == "sft" or all(sample.rejected for sample in recipe.samples(None, 0))
