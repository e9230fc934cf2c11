"""Large files that should be made only once, in the user's cache, known by the hash of their content.

`experts.artifacts.bases` keeps downloaded bases here, `experts.compile` keeps what it makes. Each entry is a folder
with the file and a `manifest.json`. A file appears under its name only when it is complete (written aside, then
renamed). A lock on the entry lets two processes ask for it at once. Every use checks size and time of change; `verify`
reads the whole file. An image may bring a second cache (`MOEGATE_SHIPPED_CACHE`), which is only read: what it holds is
not made again, and its root may be read-only.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

SHIPPED: Final = "MOEGATE_SHIPPED_CACHE"
_SECOND_NS: Final = 10**9


class ArtifactCorrupt(Exception):
    """A cached file is not what its manifest says."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file or folder and the SHA-256 of its content."""

    path: Path
    sha256: str


@dataclass(frozen=True, slots=True)
class _Manifest:
    source: str  # where the file lies
    sha256: str
    size: int  # bytes
    modified_ns: int

    def describes(self, path: Path) -> bool:
        return path.exists() and (self.source, self.size, self.modified_ns) == (str(path), *_stamp(path))


def default_root() -> Path:
    """Return the user's cache folder for moegate (XDG base directory specification)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").expanduser() / "moegate"


def default_store() -> ArtifactStore:
    """Return the user's cache, and beside it the one that the image brings, if there is one."""
    shipped = os.environ.get(SHIPPED)
    return ArtifactStore(default_root(), shipped=Path(shipped) if shipped else None)


class ArtifactStore:
    """The cache under one root; with `verify`, every use reads and hashes the whole file.

    `shipped` is another cache, looked at first and never written.
    """

    def __init__(self, root: Path, *, verify: bool = False, shipped: Path | None = None) -> None:
        self._root = root
        self._verify = verify
        self._shipped = shipped

    def adopt(self, path: Path) -> Artifact:
        """Hash a file or folder that lies elsewhere; its hash is remembered until it changes.

        Raises:
            ArtifactCorrupt: under `verify`, the content changed while size and time did not.
        """
        key = f"seen-{hashlib.sha256(str(path).encode()).hexdigest()[:16]}"
        with self._locked(key) as entry:
            return self._checked(entry, path) or self._record(entry, path)

    def get_or_make(self, key: str, name: str, make: Callable[[Path], None]) -> Artifact:
        """Return the entry's file or folder; `make(path)` writes it when it is missing or its manifest no longer fits.

        Raises:
            ArtifactCorrupt: under `verify`, the content is not what was made.
        """
        if self._shipped is not None:
            entry = self._shipped / key
            if artifact := self._checked(entry, entry / name):
                return artifact
        with self._locked(key) as entry:
            path = entry / name
            if artifact := self._checked(entry, path):
                return artifact
            unfinished = entry / f".{name}.unfinished"
            try:
                _remove(unfinished)  # a process that was killed may have left one
                make(unfinished)
                _floor_times(unfinished)
                _remove(path)
                unfinished.replace(path)
            finally:
                _remove(unfinished)
            return self._record(entry, path)

    def own(self, artifact: Artifact) -> Artifact:
        """Return a file that this user may write, a copy in the cache if need be: some engines open it for writing."""
        path = artifact.path
        if path.is_dir() or os.access(path, os.W_OK):
            return artifact
        return self.get_or_make(f"own-{artifact.sha256[:16]}", path.name, lambda target: _copy(path, target))

    def _checked(self, entry: Path, path: Path) -> Artifact | None:
        """Return the artefact if the entry's manifest still describes it."""
        manifest = _read_manifest(entry / "manifest.json")
        if manifest is None or not manifest.describes(path):
            return None
        if self._verify and hash_content(path) != manifest.sha256:
            raise ArtifactCorrupt(f"{path} is not what it was; remove {entry} and run again")
        return Artifact(path, manifest.sha256)

    def _record(self, entry: Path, path: Path) -> Artifact:
        manifest = _Manifest(str(path), hash_content(path), *_stamp(path))
        aside = entry / ".manifest.unfinished"
        aside.write_text(json.dumps(asdict(manifest), indent=1))
        aside.replace(entry / "manifest.json")
        return Artifact(path, manifest.sha256)

    @contextmanager
    def _locked(self, key: str) -> Iterator[Path]:
        entry = self._root / key
        entry.mkdir(parents=True, exist_ok=True)
        with (entry / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield entry


def hash_content(path: Path) -> str:
    """Return the SHA-256 of a file, or of a folder's file names and contents."""
    digest = hashlib.sha256()
    for file in _files(path):
        if path.is_dir():
            digest.update(f"{file.relative_to(path)}\0".encode())
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)  # the content alone: what may not be written here may be there


def _floor_times(path: Path) -> None:
    """Give files whole seconds of change, as an image's layers keep them: its manifests would not fit otherwise."""
    for file in _files(path):
        whole = file.stat().st_mtime_ns // _SECOND_NS * _SECOND_NS
        os.utime(file, ns=(whole, whole))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _files(path: Path) -> list[Path]:
    return sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]


def _stamp(path: Path) -> tuple[int, int]:
    """Return total size in bytes and the latest change in nanoseconds."""
    states = [file.stat() for file in _files(path)]
    return sum(state.st_size for state in states), max((state.st_mtime_ns for state in states), default=0)


def _read_manifest(path: Path) -> _Manifest | None:
    try:
        return _Manifest(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None
