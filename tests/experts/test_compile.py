"""Preparing experts: idempotent, and what is not there is refused rather than pretended."""

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from experts.artifacts.store import ArtifactCorrupt, ArtifactStore, hash_content
from experts.catalog.prices import Price, UsdPerMillion
from experts.catalog.spec import ExpertSpec
from experts.compilation.prepare import CannotCompile, prepare_expert
from experts.compile import main
from tests.experts.tiny_model import lora, write_adapter, write_base, write_folder

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


def _adapted(tmp_path: Path) -> ExpertSpec:
    adapter = write_adapter(tmp_path / "adapter", lora())
    return _spec(write_base(tmp_path / "base.gguf"), adapter=str(adapter))


def test_an_adapter_is_merged_once_for_its_content(tmp_path: Path) -> None:
    spec, store = _adapted(tmp_path), ArtifactStore(tmp_path / "cache", verify=True)
    first = prepare_expert(spec, "cpu", store)
    made_at = first.path.stat().st_mtime_ns
    assert prepare_expert(spec, "cpu", store) == first
    assert first.path.stat().st_mtime_ns == made_at
    assert first.path != prepare_expert(spec.model_copy(update={"adapter": None}), "cpu", store).path
    changed = {name: tensor + 1 for name, tensor in lora().items()}
    write_adapter(tmp_path / "adapter", changed)
    assert prepare_expert(spec, "cpu", store).sha256 != first.sha256


def test_two_at_once_make_one_whole_file(tmp_path: Path) -> None:
    spec = _adapted(tmp_path)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        made = [pool.submit(prepare_expert, spec, "cpu", ArtifactStore(tmp_path / "cache")) for _ in range(2)]
        one, two = (future.result() for future in made)
    assert one == two
    assert hash_content(one.path) == one.sha256
    assert not list((tmp_path / "cache").rglob("*.unfinished"))


def test_a_cache_that_was_damaged_is_said_to_be(tmp_path: Path) -> None:
    spec, store = _adapted(tmp_path), ArtifactStore(tmp_path / "cache", verify=True)
    path = prepare_expert(spec, "cpu", store).path
    times = path.stat()
    path.write_bytes(bytes(times.st_size))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(ArtifactCorrupt, match="remove"):
        prepare_expert(spec, "cpu", store)


def test_a_folder_and_an_adapter_of_another_model_are_refused(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path / "cache")
    odd = write_adapter(tmp_path / "adapter", lora(layer=5))
    with pytest.raises(CannotCompile, match="expert 'a': the base has no"):
        prepare_expert(_spec(write_base(tmp_path / "base.gguf"), adapter=str(odd)), "cpu", store)
    with pytest.raises(CannotCompile, match="no GGUF file, no folder of a Llama"):
        prepare_expert(_spec(odd, adapter=str(odd)), "cpu", store)
    with pytest.raises(CannotCompile, match="no GGUF file, no folder of a Llama"):
        prepare_expert(_spec(tmp_path / "adapter"), "cpu", store)


def test_a_folder_of_safetensors_is_made_a_file_and_merged(tmp_path: Path) -> None:
    store, folder = ArtifactStore(tmp_path / "cache"), write_folder(tmp_path / "base")
    plain = prepare_expert(_spec(folder), "cpu", store)
    assert plain.path.suffix == ".gguf"
    assert prepare_expert(_spec(folder), "cpu", store) == plain
    adapter = write_adapter(tmp_path / "adapter", lora())
    merged = prepare_expert(_spec(folder, adapter=str(adapter)), "cpu", store)
    assert merged.sha256 != plain.sha256
    write_folder(folder, rope_scaling={"type": "linear"})
    with pytest.raises(CannotCompile, match="expert 'a': base: its rotary embedding is scaled"):
        prepare_expert(_spec(folder), "cpu", store)


def test_a_folder_in_openvinos_own_form_is_served_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "ir").mkdir()
    (tmp_path / "ir" / "openvino_model.xml").write_text("<net/>")
    assert prepare_expert(_spec(tmp_path / "ir"), "cpu", ArtifactStore(tmp_path / "cache")).path == tmp_path / "ir"


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
