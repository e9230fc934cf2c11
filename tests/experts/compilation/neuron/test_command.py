"""`experts.compile --target neuron`: plans anywhere, compiles where the SDK is."""

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from experts.artifacts.store import Artifact, hash_content
from experts.compilation.neuron.store import finished
from experts.compile import main
from experts.neuron.manifest import Stack, check_neuron_config, read_manifest
from experts.neuron.shapes import shapes_of
from tests.experts.neuron.entries import neuron_spec
from tests.experts.neuron.fake_compiler import FakeNeuronModel


@pytest.fixture
def catalog(tmp_path: Path) -> str:
    spec = neuron_spec(engine_options={"artifact": str(tmp_path / "artefact")})
    path = tmp_path / "experts.yaml"
    path.write_text(yaml.safe_dump({"default": "coder", "experts": [json.loads(spec.model_dump_json())]}))
    return str(path)


def test_a_plan_prints_the_figures(catalog: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["coder", "--target", "neuron", "--catalog", catalog, "--instance", "inf2.8xlarge", "--plan", "--json"]
    assert main(arguments) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["shapes"] == {
        "batch_size": 4,
        "sequence_length": 4096,
        "prompt_bucket": 3072,
        "cores": 2,
        "dtype": "bfloat16",
    }
    assert told["gib_per_core"] == {"weights": 7.479, "cache": 1.0, "scores": 0.562}
    assert told["replicas_per_instance"]["inf2.48xlarge"] == 12


@pytest.mark.parametrize(
    ("size", "instance", "gib", "replicas", "why"),
    [
        ("8B", "inf2.xlarge", 8.48, 0, "loading holds 17.0 GiB on the host, which has 16"),
        ("8B", "inf2.8xlarge", 8.48, 1, ""),
        ("8B", "inf2.48xlarge", 8.48, 12, ""),
        ("8B", "trn1.32xlarge", 8.48, 16, ""),
        ("70B", "inf2.48xlarge", 6.42, 1, ""),
    ],
)
def test_the_five_plans_fit_or_refuse_as_arithmetic_says(
    size: str, instance: str, gib: float, replicas: int, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An 8B on 2 cores: 7.48 GiB of weights and 1.00 of cache; a 70B on 24: 5.79 and 0.62, of 14.4 that are free."""
    cores = {"8B": 2, "70B": 24}[size]
    spec = neuron_spec(
        base=f"hf:meta-llama/Llama-3.1-{size}-Instruct",
        resources={"custom": {"neuron_cores": cores}},
        engine_options={"artifact": str(tmp_path / "artefact")},
    )
    path = tmp_path / "experts.yaml"
    path.write_text(yaml.safe_dump({"default": "coder", "experts": [json.loads(spec.model_dump_json())]}))
    asked = ["coder", "--target", "neuron", "--catalog", str(path), "--instance", instance, "--plan", "--json"]
    asked += ["--prompt-bucket", "4096"]
    assert main(asked) == (0 if replicas else 1)
    told = json.loads(capsys.readouterr().out)
    assert sum(told["gib_per_core"].values()) == pytest.approx(gib, abs=0.01)
    assert told["replicas_per_instance"].get(instance, 0) == replicas
    assert "; ".join(told["problems"]) == why


def test_what_does_not_fit_is_not_compiled(catalog: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["coder", "--target", "neuron", "--catalog", catalog, "--instance", "inf2.xlarge"]
    assert main(arguments) == 1
    assert "on the host" in capsys.readouterr().err
    assert not (tmp_path / "artefact").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ([], "say --instance"),
        (["--instance", "p5"], "no such instance: p5"),
        (["--instance", "inf2.8xlarge"], "needs a merged Hugging Face folder"),
    ],
)
def test_mistakes_are_one_line(
    catalog: str, more: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    one_file = Artifact(Path(catalog), "sha")
    monkeypatch.setattr("experts.compilation.neuron.command.resolve_base", lambda base, store: one_file)
    assert main(["coder", "--target", "neuron", "--catalog", catalog, *more]) == 1
    assert message in capsys.readouterr().err.replace("\n", " ")


def test_compiling_publishes_an_artefact_that_its_engine_accepts(
    catalog: str, merged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("optimum.neuron")
    module.NeuronModelForCausalLM = FakeNeuronModel  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "optimum.neuron", module)
    monkeypatch.setattr("experts.engines.neuron_model.installed_stack", lambda: Stack("0.4.5", "2.26.1", "2.21"))
    monkeypatch.setenv("NEURON_PLATFORM_TARGET_OVERRIDE", "trn1")
    arguments = ["coder", "--target", "neuron", "--catalog", catalog, "--instance", "inf2.xlarge"]
    assert main([*arguments, "--merged", str(merged)]) == 0
    folder = tmp_path / "artefact"
    manifest = read_manifest(folder)
    assert finished(folder)
    assert (manifest.target, manifest.weights_sha256) == ("trn1", hash_content(merged))
    check_neuron_config(folder, shapes_of(neuron_spec()))
    assert (folder / "model" / "tokenizer.json").is_file()
    assert (folder / "model" / "generation_config.json").is_file()


def test_without_the_sdk_it_says_where_to_run_it(
    catalog: str, merged: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optimum.neuron", None)
    monkeypatch.setenv("NEURON_PLATFORM_TARGET_OVERRIDE", "trn1")
    arguments = ["coder", "--target", "neuron", "--catalog", catalog, "--instance", "inf2.xlarge"]
    assert main([*arguments, "--merged", str(merged)]) == 1
    assert "deploy/Dockerfile.expert-neuron" in capsys.readouterr().err.replace("\n", "")
