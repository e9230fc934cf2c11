"""Loading a compiled expert, over modules that stand for the SDK: what is checked, in which order, and what is asked.

What the real library makes of the same calls is in tests/neuron.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from experts.artifacts.store import hash_content
from experts.engines.neuron import Draw
from experts.engines.neuron_model import NeuronModel, load_neuron
from experts.neuron.cores import VISIBLE_CORES, CoresUnusable
from experts.neuron.manifest import Manifest, ManifestMismatch, Stack
from experts.neuron.shapes import shapes_of
from tests.experts.neuron.entries import neuron_spec

SPEC = neuron_spec()
SHAPES = shapes_of(SPEC)
CONFIG = {
    "batch_size": 4,
    "max_batch_size": 4,
    "sequence_length": 4096,
    "max_context_length": 3072,
    "tp_degree": 2,
    "continuous_batching": True,
    "on_device_sampling": True,
}


class Loaded(Exception):
    """The library was asked to load."""


class Unloadable:
    """`NeuronModelForCausalLM`, up to the moment when it would load."""

    @classmethod
    def from_pretrained(cls, folder: str) -> None:
        raise Loaded(folder)


class Graph:
    """`NeuronModelForCausalLM` and the model that it loads; it notes what a step is given."""

    neuron_config = SimpleNamespace(max_topk=256)

    def from_pretrained(self, folder: str) -> Graph:
        return self

    def __call__(self, **asked: Any) -> Any:
        self.asked = asked
        return asked["seq_ids"] * 10


def module(name: str, **members: Any) -> ModuleType:
    made = ModuleType(name)
    vars(made).update(members)
    return made


@pytest.fixture
def sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    """optimum-neuron 0.4.5 on an inf2, as far as it is asked."""
    for made in (
        module("optimum"),
        module("optimum.neuron", NeuronModelForCausalLM=Unloadable),
        module("optimum.neuron.utils"),
        module("optimum.neuron.utils.version_utils", get_neuronxcc_version=lambda: "2.21"),
        module("optimum.neuron.utils.instance", current_instance_type=lambda: "trn1"),
        module("optimum.neuron.version", __sdk_version__="2.26.1"),
    ):
        monkeypatch.setitem(sys.modules, made.__name__, made)
    installed = importlib.metadata.version
    monkeypatch.setattr(
        "importlib.metadata.version", lambda name: "0.4.5" if name == "optimum-neuron" else installed(name)
    )


@pytest.fixture
def artefact(tmp_path: Path, sdk: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An artefact that fits this replica; each test spoils something."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv(VISIBLE_CORES, "4,5")
    folder = tmp_path / "artefact"
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "neuron_config.json").write_text(json.dumps(CONFIG))
    (folder / "model" / "model.pt").write_bytes(b"graph")
    write(folder, target="trn1")
    return folder


def write(folder: Path, **changes: Any) -> None:
    stack = Stack("0.4.5", "2.26.1", "2.21")
    manifest = Manifest("coder", "hf:a/b", "w", hash_content(folder / "model"), "trn1", SHAPES, stack)
    (folder / "manifest.json").write_text(replace(manifest, **changes).to_json())


def test_what_fits_is_checked_first_and_loaded_last(artefact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenised = []
    monkeypatch.setattr("experts.engines.neuron_model.HFTokenizer.load", tokenised.append)
    monkeypatch.setitem(sys.modules, "torch", module("torch"))
    with pytest.raises(Loaded, match=f"{artefact}/model$"):
        load_neuron(SPEC, artefact)
    assert tokenised == [artefact / "model"]


def test_the_cores_are_claimed_as_a_range_before_anything_else(artefact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (artefact / "manifest.json").unlink()
    environment = {**os.environ, VISIBLE_CORES: "4,5"}
    monkeypatch.setattr("os.environ", environment)
    with pytest.raises(ManifestMismatch):
        load_neuron(SPEC, artefact)
    assert environment[VISIBLE_CORES] == "4-5"
    environment[VISIBLE_CORES] = "0-3"
    with pytest.raises(CoresUnusable, match="compiled for 2 NeuronCores and this replica has 4"):
        load_neuron(SPEC, artefact)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"stack": Stack("0.4.4", "2.26.1", "2.21")}, "optimum_neuron: compiled with 0.4.4, here is 0.4.5"),
        ({"stack": Stack("0.4.5", "2.25", "2.21")}, "sdk: compiled with 2.25, here is 2.26.1"),
        ({"stack": Stack("0.4.5", "2.26.1", "2.20")}, "compiler: compiled with 2.20, here is 2.21"),
        ({"target": "trn2"}, "target: compiled for trn2, this instance is trn1"),
        (
            {"shapes": replace(SHAPES, sequence_length=2048)},
            "sequence_length: compiled for 2048, the catalogue says 40",
        ),
        ({"model_sha256": "x"}, "the files are not those that were compiled"),
    ],
)
def test_what_does_not_fit_is_refused_before_minutes_are_spent(
    artefact: Path, changes: dict[str, Any], words: str
) -> None:
    write(artefact, **changes)
    with pytest.raises(ManifestMismatch, match=words):
        load_neuron(SPEC, artefact)


def test_the_librarys_own_record_has_a_word_too(artefact: Path) -> None:
    (artefact / "model" / "neuron_config.json").write_text(json.dumps(CONFIG | {"on_device_sampling": False}))
    write(artefact)
    with pytest.raises(ManifestMismatch, match="on_device_sampling"):
        load_neuron(SPEC, artefact)


@pytest.mark.usefixtures("sdk")
def test_a_step_is_one_call_of_the_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch", reason="`make test-neuron` has it")
    graph = Graph()
    monkeypatch.setattr(sys.modules["optimum.neuron"], "NeuronModelForCausalLM", graph)
    model = NeuronModel(Path("folder"))
    assert model.max_top_k == 256
    greedy, free = Draw(1, 1.0, 1.0), Draw(256, 0.5, 0.25)
    assert model.encode(3, [7, 8, 9], greedy) == 30
    asked = graph.asked
    assert asked["input_ids"].tolist() == [[7, 8, 9]]
    assert asked["position_ids"].tolist() == [[0, 1, 2]]
    assert model.decode([0, 2], [7, 8], [5, 9], [greedy, free]) == [0, 20]
    asked = graph.asked
    assert asked["input_ids"].tolist() == [[7], [8]]
    assert asked["position_ids"].tolist() == [[5], [9]]
    assert asked["sampling_params"].tolist() == [[1.0, 1.0, 1.0], [256.0, 0.5, 0.25]]
    assert {asked[name].dtype for name in ("input_ids", "position_ids", "seq_ids")} == {torch.int64}
    assert asked["sampling_params"].dtype == torch.float32
