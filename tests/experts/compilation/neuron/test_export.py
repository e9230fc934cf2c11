"""The compiler's calls, over a fake that records them, and what stands in the artefact afterwards."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from experts.artifacts.store import hash_content
from experts.compilation.neuron.export import TARGET_OVERRIDE, CannotExport, compile_expert, configure
from experts.neuron.manifest import Stack, check_manifest, check_neuron_config, read_manifest
from experts.neuron.shapes import Shapes
from tests.experts.neuron.fake_compiler import FakeNeuronModel

SHAPES = Shapes(batch_size=4, sequence_length=4096, prompt_bucket=3072, cores=2)
STACK = Stack("0.4.5", "2.26.1", "2.21")


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("optimum.neuron")
    module.NeuronModelForCausalLM = FakeNeuronModel  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "optimum.neuron", module)
    monkeypatch.setattr("experts.engines.neuron_model.installed_stack", lambda: STACK)


def test_each_shape_reaches_the_setting_that_means_it() -> None:
    config = configure(FakeNeuronModel, Path("merged"), SHAPES, "inf2")
    assert (config.batch_size, config.sequence_length, config.max_context_length, config.tp_degree) == (
        4,
        4096,
        3072,
        2,
    )


@pytest.mark.parametrize(("family", "target"), [("inf2", "trn1"), ("trn2", "trn2")])
@pytest.mark.usefixtures("compiler")
def test_an_artefact_is_one_that_its_engine_takes(
    merged: Path, tmp_path: Path, family: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment: dict[str, str] = {}
    monkeypatch.setattr("os.environ", environment)
    made = compile_expert("coder", "hf:a/b", merged, SHAPES, family, str(tmp_path / "out"))
    assert environment[TARGET_OVERRIDE] == target
    assert read_manifest(tmp_path / "out") == made
    assert (made.expert, made.base, made.weights_sha256) == ("coder", "hf:a/b", hash_content(merged))
    here = hash_content(tmp_path / "out" / "model")
    check_manifest(made, shapes=SHAPES, stack=STACK, target=target, model_sha256=here)
    check_neuron_config(tmp_path / "out", SHAPES)


@pytest.mark.usefixtures("compiler")
def test_the_tokeniser_travels_with_the_graph_and_the_weights_do_not(merged: Path, tmp_path: Path) -> None:
    for name in ("tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja", "tokenizer.model"):
        (merged / name).write_text("{}")
    compile_expert("coder", "hf:a/b", merged, SHAPES, "inf2", str(tmp_path / "out"))
    assert {path.name for path in (tmp_path / "out" / "model").iterdir()} == {
        "chat_template.jinja",
        "generation_config.json",
        "model.pt",
        "neuron_config.json",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer.model",
        "tokenizer_config.json",
    }


@pytest.mark.usefixtures("compiler")
def test_other_shapes_of_the_same_weights_are_another_artefact(merged: Path, tmp_path: Path) -> None:
    one = compile_expert("coder", "hf:a/b", merged, SHAPES, "inf2", str(tmp_path / "one"))
    two = compile_expert("coder", "hf:a/b", merged, replace(SHAPES, batch_size=8), "inf2", str(tmp_path / "two"))
    assert one.weights_sha256 == two.weights_sha256
    assert one.model_sha256 != two.model_sha256


def test_a_folder_that_is_no_model_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(CannotExport, match=rf"{tmp_path} holds no config\.json"):
        compile_expert("coder", "hf:a/b", tmp_path, SHAPES, "inf2", str(tmp_path / "out"))


def test_without_the_sdk_nothing_is_published(merged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optimum.neuron", None)
    monkeypatch.setenv(TARGET_OVERRIDE, "trn1")
    with pytest.raises(CannotExport, match="not installed here"):
        compile_expert("coder", "hf:a/b", merged, SHAPES, "inf2", str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("compiler")
def test_a_compiler_that_fails_leaves_no_artefact(
    merged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: FakeNeuronModel, save_directory: str) -> None:
        (Path(save_directory)).mkdir(parents=True)
        (Path(save_directory) / "neuron_config.json").write_text(json.dumps(vars(self.config)))
        raise RuntimeError("out of memory")

    monkeypatch.setattr(FakeNeuronModel, "save_pretrained", fail)
    monkeypatch.setenv(TARGET_OVERRIDE, "trn1")
    with pytest.raises(RuntimeError):
        compile_expert("coder", "hf:a/b", merged, SHAPES, "inf2", str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()
