"""The adapters that ship: each fits its base, is small, and has a card that says what it is."""

from pathlib import Path

import gguf
import pytest

from experts.artifacts.bases import resolve_base
from experts.artifacts.store import ArtifactStore, default_root
from experts.catalog.spec import ExpertSpec, adapter_folder, load_catalog
from experts.compilation.merge import read_adapter

MOST_BYTES = 16_000_000
RECIPES_FROZEN = 12  # layers at most whose adapters a recipe leaves as they were
SECTIONS = ("## Made by", "## Learned from", "## Measured", "## Limits")
SPECIALISTS = [spec for spec in load_catalog().experts if spec.adapter]


def folder(spec: ExpertSpec) -> Path:
    assert spec.adapter
    return adapter_folder(spec.adapter)


def test_every_expert_has_one_and_together_they_are_small() -> None:
    assert {spec.name for spec in load_catalog().experts} == {spec.name for spec in SPECIALISTS}
    assert sum((folder(spec) / "adapter_model.safetensors").stat().st_size for spec in SPECIALISTS) <= 3 * MOST_BYTES


@pytest.mark.parametrize("spec", SPECIALISTS, ids=lambda spec: spec.name)
def test_it_changes_matrices_that_its_base_has(spec: ExpertSpec) -> None:
    base = gguf.GGUFReader(resolve_base(spec.base, ArtifactStore(default_root())).path)
    shapes = {tensor.name: tuple(int(size) for size in reversed(tensor.shape)) for tensor in base.tensors}
    adapter = read_adapter(folder(spec))
    assert len(adapter.pairs) == 7 * 30  # every linear layer
    for name, (a, b) in adapter.pairs.items():
        assert (b.shape[0], a.shape[1]) == shapes[name]
    trained = sum(abs(b).max() > 0 for _, b in adapter.pairs.values())  # B begins at zero
    assert trained >= 7 * (30 - RECIPES_FROZEN)


@pytest.mark.parametrize("spec", SPECIALISTS, ids=lambda spec: spec.name)
def test_it_is_small_and_readable_by_everybody(spec: ExpertSpec) -> None:
    weights = folder(spec) / "adapter_model.safetensors"
    assert weights.stat().st_size <= MOST_BYTES
    assert weights.stat().st_mode & 0o444 == 0o444


@pytest.mark.parametrize("spec", SPECIALISTS, ids=lambda spec: spec.name)
def test_its_card_tells_what_it_is(spec: ExpertSpec) -> None:
    card = (folder(spec) / "README.md").read_text("utf-8")
    assert [section for section in SECTIONS if section not in card] == []
    assert f"experts.finetune {spec.name}" in card
    assert spec.base in card


def test_no_two_are_the_same() -> None:
    weights = {(folder(spec) / "adapter_model.safetensors").read_bytes() for spec in SPECIALISTS}
    assert len(weights) == len(SPECIALISTS)
