"""Artefacts that must not be loaded are refused, each with what to do about it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from experts.neuron.manifest import (
    Manifest,
    ManifestMismatch,
    Stack,
    check_manifest,
    check_neuron_config,
    read_manifest,
)
from experts.neuron.shapes import Shapes

SHAPES = Shapes(batch_size=4, sequence_length=4096, prompt_bucket=3072, cores=2)
STACK = Stack("0.4.5", "2.26.1", "2.21.33363.0")
MANIFEST = Manifest("coder", "hf:base", "w" * 64, "m" * 64, "trn1", SHAPES, STACK)
CONFIG = {
    "batch_size": 4,
    "max_batch_size": 4,
    "sequence_length": 4096,
    "max_context_length": 3072,
    "tp_degree": 2,
    "continuous_batching": True,
    "on_device_sampling": True,
}


def check(manifest: Manifest) -> None:
    check_manifest(manifest, shapes=SHAPES, stack=STACK, target="trn1", model_sha256="m" * 64)


def test_a_manifest_survives_its_file(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(MANIFEST.to_json())
    assert read_manifest(tmp_path) == MANIFEST
    check(MANIFEST)


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        (
            replace(MANIFEST, shapes=replace(SHAPES, cores=8)),
            "cores: compiled for 8, the catalogue says 2.*compile again",
        ),
        (replace(MANIFEST, shapes=replace(SHAPES, prompt_bucket=1024)), "prompt_bucket: compiled for 1024"),
        (replace(MANIFEST, stack=replace(STACK, sdk="2.25.0")), "sdk: compiled with 2.25.0, here is 2.26.1.*image"),
        (replace(MANIFEST, stack=replace(STACK, compiler="1")), "compiler: compiled with 1,"),
        (replace(MANIFEST, target="trn2"), "target: compiled for trn2, this instance is trn1.*--instance trn1"),
        (replace(MANIFEST, model_sha256="x"), "files are not those that were compiled; fetch"),
    ],
)
def test_each_difference_is_named_with_its_remedy(manifest: Manifest, message: str) -> None:
    with pytest.raises(ManifestMismatch, match=message):
        check(manifest)


def test_all_differences_are_told_at_once() -> None:
    with pytest.raises(ManifestMismatch) as caught:
        check(replace(MANIFEST, target="trn2", shapes=replace(SHAPES, cores=8, batch_size=1)))
    assert len(str(caught.value).splitlines()) == 4


@pytest.mark.parametrize("content", [None, "{", json.dumps({"format": 2}), json.dumps({"format": 1, "shapes": {}})])
def test_an_unreadable_manifest_says_how_to_make_one(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(ManifestMismatch, match=r"experts\.compile EXPERT --target neuron"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    "change", [{"continuous_batching": False}, {"on_device_sampling": False}, {"max_context_length": 4096}, {}]
)
def test_optimum_s_own_record_must_agree(tmp_path: Path, change: dict[str, object]) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "neuron_config.json").write_text(json.dumps(CONFIG | change))
    if not change:
        check_neuron_config(tmp_path, SHAPES)
        return
    with pytest.raises(ManifestMismatch, match=next(iter(change))):
        check_neuron_config(tmp_path, SHAPES)
