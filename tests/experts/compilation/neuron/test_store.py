"""Compiled artefacts travel whole or not at all."""

import json
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from experts.artifacts.store import ArtifactStore, hash_content
from experts.compilation.neuron.store import StoreUnavailable, fetch, finished, publish
from experts.compilation.prepare import CannotCompile, prepare_expert
from experts.neuron.manifest import MANIFEST, MODEL, Manifest, ManifestMismatch, Stack
from experts.neuron.shapes import Shapes
from tests.experts.neuron.entries import neuron_spec

URL = "memory://models/coder"


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    folder = tmp_path / "made"
    (folder / MODEL / "checkpoint").mkdir(parents=True)
    (folder / MODEL / "model.pt").write_bytes(b"graph")
    (folder / MODEL / "checkpoint" / "tp0_sharded_checkpoint.safetensors").write_bytes(b"weights")
    sha256 = hash_content(folder / MODEL)
    manifest = Manifest("coder", "b", "w", sha256, "trn1", Shapes(4, 8, 8, 2), Stack("0.4.5", "2.26.1", "2"))
    (folder / MANIFEST).write_text(manifest.to_json())
    return folder


@pytest.fixture
def remote() -> Iterator[fsspec.AbstractFileSystem]:
    system = fsspec.filesystem("memory")
    yield system
    system.rm("/", recursive=True)


def get(url: str, tmp_path: Path) -> Path:
    return fetch(url, ArtifactStore(tmp_path / "cache"), tmp_path / "cache").path


def test_there_and_back(artifact: Path, remote: fsspec.AbstractFileSystem, tmp_path: Path) -> None:
    publish(artifact, URL)
    folder = get(URL, tmp_path)
    assert hash_content(folder / MODEL) == hash_content(artifact / MODEL)
    assert (folder / MANIFEST).read_text() == (artifact / MANIFEST).read_text()


def test_a_local_path_is_used_where_it_lies(artifact: Path, tmp_path: Path) -> None:
    publish(artifact, str(tmp_path / "there"))
    assert finished(tmp_path / "there")
    assert get(str(tmp_path / "there"), tmp_path) == tmp_path / "there"


def test_what_is_here_is_not_fetched_again_and_what_changed_is(
    artifact: Path, remote: fsspec.AbstractFileSystem, tmp_path: Path
) -> None:
    publish(artifact, URL)
    folder = get(URL, tmp_path)
    remote.rm("/models/coder/model", recursive=True)
    assert get(URL, tmp_path) == folder
    (artifact / MODEL / "model.pt").write_bytes(b"better graph")
    manifest = json.loads((artifact / MANIFEST).read_text()) | {"model_sha256": hash_content(artifact / MODEL)}
    (artifact / MANIFEST).write_text(json.dumps(manifest))
    publish(artifact, URL)
    assert (get(URL, tmp_path) / MODEL / "model.pt").read_bytes() == b"better graph"


def test_without_its_manifest_it_is_no_artefact(
    artifact: Path, remote: fsspec.AbstractFileSystem, tmp_path: Path
) -> None:
    publish(artifact, URL)
    remote.rm("/models/coder/manifest.json")
    with pytest.raises(ManifestMismatch, match="never published whole"):
        get(URL, tmp_path)


def test_damaged_files_are_refused_and_fetched_anew_next_time(
    artifact: Path, remote: fsspec.AbstractFileSystem, tmp_path: Path
) -> None:
    publish(artifact, URL)
    whole = remote.cat_file("/models/coder/model/model.pt")
    remote.pipe_file("/models/coder/model/model.pt", b"grap")
    with pytest.raises(ManifestMismatch, match="not what its manifest says"):
        get(URL, tmp_path)
    remote.pipe_file("/models/coder/model/model.pt", whole)
    assert get(URL, tmp_path)


def test_a_place_that_cannot_be_opened_is_typed(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="nosuch"):
        get("nosuch://x/y", tmp_path)


def test_a_replica_fetches_and_never_compiles(
    artifact: Path, remote: fsspec.AbstractFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    spec, store = neuron_spec(engine_options={"artifact": URL}), ArtifactStore(tmp_path / "cache")
    with pytest.raises(CannotCompile, match="never published whole"):
        prepare_expert(spec, "neuron", store)
    publish(artifact, URL)
    assert prepare_expert(spec, "neuron", store).sha256 == hash_content(artifact / MODEL)
