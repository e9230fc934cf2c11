"""All recipes: whose they are, what they read and must not read, enough without any data, and the same each time."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from experts.catalog.spec import load_catalog
from experts.evaluation.suites.rows import RowError, read_rows
from experts.training.recipe import RECIPES
from experts.training.recipes.sample import BadSample
from tests.experts.training.recipes.data_files import HELD_OUT, READ, place, write

FILES = [(expert, name) for expert, names in READ.items() for name in names]


def test_every_expert_with_an_adapter_has_a_recipe() -> None:
    assert {spec.name for spec in load_catalog().experts if spec.adapter} <= RECIPES.keys()


@pytest.mark.parametrize("expert", RECIPES)
def test_seeds_alone_are_enough_and_the_same_each_time(expert: str) -> None:
    made = RECIPES[expert].samples(None, 0)
    assert len(made) >= 100
    assert RECIPES[expert].samples(None, 0) == made


@pytest.mark.parametrize("expert", RECIPES)
def test_a_seed_decides_what_is_built(expert: str, data: Path) -> None:
    made = RECIPES[expert].samples(data, 0)
    assert RECIPES[expert].samples(data, 0) == made
    assert RECIPES[expert].samples(data, 1) != made


@pytest.mark.parametrize("expert", RECIPES)
def test_every_sample_has_something_to_say(expert: str, data: Path) -> None:
    for sample in RECIPES[expert].samples(data, 0):
        assert sample.answer.strip()
        assert sample.conversation.messages[-1].content.strip()


@pytest.mark.parametrize("expert", RECIPES)
def test_pairs_are_there_where_the_method_learns_from_them(expert: str) -> None:
    recipe = RECIPES[expert]
    assert recipe.hyperparameters.method == "sft" or all(sample.rejected for sample in recipe.samples(None, 0))


@pytest.mark.parametrize("name", HELD_OUT)
def test_who_reads_what_is_held_out_meets_an_error(name: str, data: Path) -> None:
    """Every other test builds samples beside these files: a recipe that read one would fail there."""
    with pytest.raises(RowError):
        read_rows(place(data, name))


@pytest.mark.parametrize(("expert", "name"), FILES)
def test_a_file_that_is_missing_is_named(expert: str, name: str, data: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(data, tmp_path / "copy")
    place(folder, name).unlink()
    with pytest.raises(RowError, match="cannot be read") as caught:
        RECIPES[expert].samples(folder, 0)
    assert str(place(folder, name)) in str(caught.value)


@pytest.mark.parametrize("expert", RECIPES)
def test_the_files_that_a_recipe_needs_are_all_that_it_reads(expert: str, data: Path, tmp_path: Path) -> None:
    for name in READ[expert]:
        place(tmp_path, name).parent.mkdir(exist_ok=True)
        shutil.copy(place(data, name), place(tmp_path, name))
    assert RECIPES[expert].samples(tmp_path, 0) == RECIPES[expert].samples(data, 0)


@pytest.mark.parametrize(("expert", "name"), FILES)
def test_a_file_of_another_shape_is_refused_without_its_text(
    expert: str, name: str, data: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(data, tmp_path / "copy")
    write(place(folder, name), [{"secret": "secret words"}])
    with pytest.raises(BadSample, match="another shape") as caught:
        RECIPES[expert].samples(folder, 0)
    assert "secret" not in str(caught.value)
