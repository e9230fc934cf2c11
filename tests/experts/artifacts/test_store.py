"""The artefact cache: made once, whole or not at all, noticed when it changes."""

import threading
from pathlib import Path

import pytest

from experts.artifacts.store import (
    SHIPPED,
    Artifact,
    ArtifactCorrupt,
    ArtifactStore,
    default_root,
    default_store,
    hash_content,
)


def test_made_once(tmp_path: Path) -> None:
    calls = []

    def make(target: Path) -> None:
        calls.append(target)
        target.write_bytes(b"weights")

    first, second = (ArtifactStore(tmp_path).get_or_make("key", "model", make) for _ in range(2))
    assert first == second
    assert first.path.read_bytes() == b"weights"
    assert (len(calls), first.sha256) == (1, hash_content(first.path))


def test_a_failed_making_leaves_nothing(tmp_path: Path) -> None:
    def fail(target: Path) -> None:
        target.write_bytes(b"half")
        raise RuntimeError

    store = ArtifactStore(tmp_path)
    with pytest.raises(RuntimeError):
        store.get_or_make("key", "model", fail)
    assert [path.name for path in (tmp_path / "key").iterdir()] == [".lock"]
    assert store.get_or_make("key", "model", lambda target: target.write_text("whole") and None).path.exists()


def test_a_changed_size_is_made_anew(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    store.get_or_make("key", "model", lambda target: target.write_text("one") and None).path.write_text("longer")
    assert store.get_or_make("key", "model", lambda target: target.write_text("two") and None).path.read_text() == "two"


def test_verify_reads_the_content(tmp_path: Path) -> None:
    import os

    artifact = ArtifactStore(tmp_path).get_or_make("key", "model", lambda target: target.write_text("one") and None)
    stamp = artifact.path.stat().st_mtime_ns
    artifact.path.write_text("eno")
    os.utime(artifact.path, ns=(stamp, stamp))
    ArtifactStore(tmp_path).get_or_make("key", "model", lambda target: None)
    with pytest.raises(ArtifactCorrupt, match="not what it was"):
        ArtifactStore(tmp_path, verify=True).get_or_make("key", "model", lambda target: None)


def test_two_at_once_make_one(tmp_path: Path) -> None:
    made = []

    def make(target: Path) -> None:
        made.append(1)
        threading.Event().wait(0.05)
        target.write_text("x")

    threads = [
        threading.Thread(target=lambda: ArtifactStore(tmp_path).get_or_make("key", "model", make)) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [1]


def test_adopted_files_and_folders_are_known_by_content(tmp_path: Path) -> None:
    store, folder = ArtifactStore(tmp_path / "cache"), tmp_path / "model"
    folder.mkdir()
    (folder / "a").write_text("1")
    before = store.adopt(folder)
    assert store.adopt(folder) == before
    (folder / "b").write_text("2")
    assert store.adopt(folder).sha256 != before.sha256


def test_the_cache_follows_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_root() == tmp_path / "moegate"


def test_what_an_image_brings_is_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its layers keep whole seconds of change, and its root may be read-only."""
    import os

    def forbidden(target: Path) -> None:
        raise AssertionError("made again")

    shipped, own = tmp_path / "shipped", tmp_path / "own"
    made = ArtifactStore(shipped).get_or_make("key", "model", lambda target: target.write_text("x") and None)
    seconds = made.path.stat().st_mtime_ns // 10**9 * 10**9
    os.utime(made.path, ns=(seconds, seconds))
    for folder in (made.path.parent, shipped):
        folder.chmod(0o555)
    monkeypatch.setenv("XDG_CACHE_HOME", str(own))
    monkeypatch.setenv(SHIPPED, str(shipped))
    assert default_store().get_or_make("key", "model", forbidden) == made
    assert not own.exists()
    other = default_store().get_or_make("other", "model", lambda target: target.write_text("y") and None)
    assert other.path == own / "moegate" / "other" / "model"


def test_a_file_that_may_not_be_written_is_copied_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on an image's read-only root; root may write everywhere, so what the system would say is said here."""
    import os

    file = tmp_path / "model.gguf"
    file.write_bytes(b"weights")
    artifact, store = Artifact(file, hash_content(file)), ArtifactStore(tmp_path / "cache")
    assert store.own(artifact) is artifact
    asked = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != file and asked(path, mode))
    copy = store.own(artifact)
    assert (copy.sha256, copy.path.name) == (artifact.sha256, "model.gguf")
    assert copy.path.read_bytes() == b"weights"
    assert store.own(artifact) == copy
    assert store.own(copy) is copy
