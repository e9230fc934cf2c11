import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import router.model.artifact as artifact_module
from router.errors import ArtifactError
from router.features.featurize import BUCKETS
from router.features.int4 import WIDE_LEVELS
from router.model.artifact import DEFAULT_PATH, MAX_BYTES, load, save
from router.train import Trained


def test_what_was_saved_comes_back(trained: Trained, tmp_path: Path) -> None:
    path = tmp_path / "router.npz"
    version = save(trained.artifact, path)
    loaded = load(path)
    assert loaded.version == version and len(version) == 12
    assert loaded.classes == trained.artifact.classes
    assert loaded.training["rows"] == trained.artifact.training["rows"]
    for name in ("known", "hashed", "scale", "dense", "bias", "out", "out_bias", "places"):
        assert np.array_equal(getattr(loaded.network, name), getattr(trained.artifact.network, name))
    assert path.stat().st_size < MAX_BYTES
    assert list(tmp_path.iterdir()) == [path]


def test_the_same_content_has_the_same_version_and_another_has_not(trained: Trained, tmp_path: Path) -> None:
    first = save(trained.artifact, tmp_path / "a.npz")
    assert save(trained.artifact, tmp_path / "b.npz") == first
    assert save(replace(trained.artifact, abstain_below=0.123), tmp_path / "c.npz") != first


def test_what_rivals_add_comes_back_and_only_if_it_lowers(trained: Trained, tmp_path: Path) -> None:
    path = tmp_path / "router.npz"
    save(replace(trained.artifact, rival=-0.25), path)
    assert load(path).rival == -0.25
    for rival in (0.1, float("nan"), float("-inf")):
        save(replace(trained.artifact, rival=rival), path)
        with pytest.raises(ArtifactError, match="rival"):
            load(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="cannot be read"):
        load(tmp_path / "none.npz")


@pytest.mark.parametrize("kept", [0, 10, 5_000, -40])
def test_a_torn_file_is_refused(artifact_file: Path, tmp_path: Path, kept: int) -> None:
    torn = tmp_path / "torn.npz"
    torn.write_bytes(artifact_file.read_bytes()[:kept])
    with pytest.raises(ArtifactError):
        load(torn)


@pytest.mark.parametrize("name", ["FORMAT_VERSION", "FEATURE_VERSION"])
def test_another_version_is_refused(artifact_file: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(artifact_module, name, 999)
    with pytest.raises(ArtifactError, match=name.lower()):
        load(artifact_file)


def test_wrong_shapes_and_numbers_are_refused(trained: Trained, tmp_path: Path) -> None:
    path = tmp_path / "bad.npz"
    network = trained.artifact.network
    spoiled = {
        "bias": replace(network, bias=np.full_like(network.bias, np.nan)),
        "dense": replace(network, dense=network.dense[:-1]),
        "known": replace(network, known=network.known + BUCKETS),
    }
    for name, bad in spoiled.items():
        save(replace(trained.artifact, network=bad), path)
        with pytest.raises(ArtifactError, match=name):
            load(path)


def test_an_oversized_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "huge.npz"
    path.write_bytes(b"\0" * (MAX_BYTES + 1))
    with pytest.raises(ArtifactError, match="bytes"):
        load(path)


@pytest.mark.parametrize("kind", ["device", "pipe", "folder"])
def test_what_is_no_file_is_refused_unread(kind: str, tmp_path: Path) -> None:
    path = {"device": Path("/dev/zero"), "pipe": tmp_path / "pipe", "folder": tmp_path}[kind]
    if kind == "pipe":
        os.mkfifo(path)
    with pytest.raises(ArtifactError, match="is a file"):
        load(path)


def test_wide_weights_are_kept_and_make_another_format(trained: Trained, tmp_path: Path) -> None:
    network = trained.artifact.network
    wide = network.hashed.copy()
    wide[1:, -2:] = np.random.default_rng(0).integers(-WIDE_LEVELS, WIDE_LEVELS + 1, (len(wide) - 1, 2))
    path = tmp_path / "wide.npz"
    save(replace(trained.artifact, network=replace(network, hashed=wide)), path)
    assert np.array_equal(load(path).network.hashed, wide)
    for file, version in ((path, artifact_module.WIDE_VERSION), (DEFAULT_PATH, artifact_module.FORMAT_VERSION)):
        with np.load(file) as arrays:
            assert json.loads(arrays["header"].tobytes())["format_version"] == version
            assert ("hashed_high" in arrays.files) == (file == path)
