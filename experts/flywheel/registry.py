"""Which weights an expert serves with, and every change of that: a folder, an append-only history, two pointers.

    EXPERT/artifacts/DIGEST/    a candidate's files, copied, never changed
    EXPERT/candidates/DIGEST.json  where it comes from and how good it is
    EXPERT/history.jsonl        a line for each change (`experts.flywheel.history`): the truth
    EXPERT/current              a link to the artefact that serves; the `adapter` of the expert in the catalogue
    EXPERT/next                 a link to the one that is or was on trial; the `adapter` of the expert's canary

A change is one line, written at once and flushed to the disk. The links follow it; whoever opens the registry brings a
link up to date that a crash has left behind. So a change has happened or it has not, wherever it was interrupted.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from experts.flywheel.changes import Changes, RegistryError
from experts.flywheel.history import Change, next_up, read_history, serving

__all__ = ["HISTORY", "Registry", "RegistryError", "digest_of", "now"]

HISTORY: Final = "history.jsonl"
_CURRENT: Final = "current"
_NEXT: Final = "next"
_BLOCK: Final = 2**20


class Registry(Changes):
    """One expert's, in a folder."""

    def __init__(self, folder: Path, expert: str) -> None:
        """Open it, or what will be it: nothing is made before something is added."""
        self._folder = folder / expert
        if (self._folder / HISTORY).exists():
            with self._alone():
                self._mend()

    @property
    def link(self) -> Path:
        """What the catalogue's `adapter` may name."""
        return self._folder / _CURRENT

    @property
    def next_link(self) -> Path:
        """What the `adapter` of the expert's canary may name."""
        return self._folder / _NEXT

    def history(self) -> list[Change]:
        """Every change, the oldest first."""
        return read_history(self._folder / HISTORY)

    def candidates(self) -> dict[str, Mapping[str, Any]]:
        """Manifests by digest."""
        found = sorted((self._folder / "candidates").glob("*.json"))
        return {path.stem: json.loads(path.read_text("utf-8")) for path in found}

    def add(self, artifact: Path, facts: Mapping[str, Any]) -> str:
        """Copy a candidate's folder in, beside its facts; returns its digest. Doing it again is no harm.

        Raises:
            RegistryError: it is no folder, or an empty one.
        """
        if not artifact.is_dir():
            raise RegistryError(f"{artifact} is no folder")
        digest = digest_of(artifact)
        with self._alone():
            place = self._folder / "artifacts" / digest
            if not place.exists():
                self._copy(artifact, place)
            made = {"digest": digest, "parent": self.current, "at": now(), **facts}
            _write(self._folder / "candidates" / f"{digest}.json", json.dumps(made, indent=1).encode())
        return digest

    def _change(self, event: str, digest: str | None, by: str, why: str, share: float = 0.0) -> Change:
        change = Change(event, digest, now(), by, why, share)
        self._cut_what_is_not_whole()
        file = os.open(self._folder / HISTORY, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(file, change.line)
            os.fsync(file)
        finally:
            os.close(file)
        self._mend()
        return change

    def _cut_what_is_not_whole(self) -> None:
        path = self._folder / HISTORY
        if path.exists():
            content = path.read_bytes()
            whole = content.rfind(b"\n") + 1
            if whole < len(content):
                os.truncate(path, whole)

    def _mend(self) -> None:
        """Let the links point to what the history names."""
        history = self.history()
        self._point(self.link, serving(history))
        self._point(self.next_link, next_up(history))

    def _point(self, link: Path, digest: str | None) -> None:
        wanted = None if digest is None else f"artifacts/{digest}"
        there = os.readlink(link) if link.is_symlink() else None
        if there == wanted:
            return
        if wanted is None:
            link.unlink()
            return
        draft = self._folder / f".{link.name}-{os.getpid()}"
        draft.unlink(missing_ok=True)
        os.symlink(wanted, draft)
        os.replace(draft, link)

    def _copy(self, artifact: Path, place: Path) -> None:
        place.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=place.parent))
        try:
            shutil.copytree(artifact, draft, dirs_exist_ok=True)
            os.rename(draft, place)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise

    def mirror(
        self,
        history: Sequence[Change],
        manifests: Mapping[str, Mapping[str, Any]],
        fetch: Callable[[str, Path], None],
    ) -> None:
        """Be what another place holds: what serves there or is on trial is brought here before the history says so.

        Raises:
            RegistryError: what `fetch(digest, folder)` brought has another digest.
        """
        with self._alone():
            for digest in {serving(history), next_up(history)} - {None}:
                place = self._folder / "artifacts" / str(digest)
                if not place.exists():
                    self._fetch(str(digest), place, fetch)
            for digest, manifest in manifests.items():
                _write(self._folder / "candidates" / f"{digest}.json", json.dumps(manifest, indent=1).encode())
            if list(history) != self.history():
                _write(self._folder / HISTORY, b"".join(change.line for change in history))
            self._mend()

    def _fetch(self, digest: str, place: Path, fetch: Callable[[str, Path], None]) -> None:
        place.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=place.parent))
        try:
            fetch(digest, draft / digest)
            if digest_of(draft / digest) != digest:
                raise RegistryError(f"{digest}: what was brought is something else")
            os.rename(draft / digest, place)
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One change at a time; a lock that a dead process held is free."""
        self._folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(self._folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def digest_of(folder: Path) -> str:
    """Name a folder by its files' names and contents.

    Raises:
        RegistryError: it holds none.
    """
    whole = sha256()
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if not files:
        raise RegistryError(f"{folder} is empty")
    for path in files:
        own = sha256()
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                own.update(block)
        whole.update(f"{path.relative_to(folder)}\0{own.hexdigest()}\n".encode())
    return whole.hexdigest()[:16]


def _write(path: Path, content: bytes) -> None:
    """Write a file whole, or not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft, name = tempfile.mkstemp(prefix=".draft-", dir=path.parent)
    with os.fdopen(draft, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(name, path)


def now() -> str:
    """The time, as lines and manifests have it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
