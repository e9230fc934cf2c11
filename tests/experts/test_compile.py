"""Preparing experts: idempotent, and what is not there is refused rather than pretended."""

from pathlib import Path

import numpy as np
import pytest

from experts.artifacts import ArtifactStore, hash_content
from experts.catalog import ExpertSpec, Price, UsdPerMillion
from experts.compile import CannotCompile, main, prepare_expert

gguf = pytest.importorskip("gguf", reason="needs the [cpu] extra")


def write_gguf(path: Path) -> None:
    """The smallest file that is one."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tensor("norm", np.zeros(32, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


CATALOG = """
default: a
experts:
  - {{name: a, description: d, base: '{base}', context_window: 8, licence: MIT, price: {price}}}
  - {{name: b, description: d, base: '{base}', context_window: 8, licence: MIT, price: {price}, adapter: x}}
"""


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "model.gguf"
    write_gguf(path)
    price = "{usd_per_million: {prompt: 1, completion: 1}}"
    (tmp_path / "experts.yaml").write_text(CATALOG.format(base=path, price=price))
    return path


def _spec(base: Path, **changes: object) -> ExpertSpec:
    spec = ExpertSpec(
        name="a",
        description="d",
        base=str(base),
        context_window=8,
        licence="MIT",
        price=Price(usd_per_million=UsdPerMillion(prompt=0, completion=0)),
    )
    return spec.model_copy(update=changes)


def test_an_expert_without_an_adapter_is_its_base(weights: Path, tmp_path: Path) -> None:
    artifact = prepare_expert(_spec(weights), "cpu", ArtifactStore(tmp_path / "cache"))
    assert (artifact.path.resolve(), artifact.sha256) == (weights, hash_content(weights))


def test_what_cannot_be_made_is_refused(weights: Path, tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path / "cache")
    with pytest.raises(CannotCompile, match="neuron"):
        prepare_expert(_spec(weights), "neuron", store)
    with pytest.raises(CannotCompile, match="adapter"):
        prepare_expert(_spec(weights, adapter="x"), "cpu", store)
    with pytest.raises(CannotCompile, match="no GGUF file"):
        prepare_expert(_spec(tmp_path / "experts.yaml"), "cpu", store)


def test_the_command_prints_what_it_made(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    catalog = str(weights.parent / "experts.yaml")
    for _ in range(2):
        assert main(["a", "--target", "cpu", "--catalog", catalog, "--verify"]) == 0
        name, target, digest, path = capsys.readouterr().out.rstrip().split("\t")
        assert (name, target, digest, Path(path).resolve()) == ("a", "cpu", hash_content(weights), weights)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["nobody"], "no such expert: nobody; there are a, b"), (["b"], "adapter"), (["--all"], "adapter")],
)
def test_the_command_says_what_is_wrong(
    weights: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert main([*arguments, "--target", "cpu", "--catalog", str(weights.parent / "experts.yaml")]) == 1
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["a", "--all"]])
def test_names_or_all(arguments: list[str]) -> None:
    with pytest.raises(SystemExit):
        main([*arguments, "--target", "cpu"])
