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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from experts.flywheel.history import (
    ADOPTED,
    CANARY,
    ENDED,
    PROMOTED,
    ROLLED_BACK,
    SERVING,
    SHADOW,
    Change,
    next_up,
    on_trial,
    read_history,
    serving,
)

HISTORY: Final = "history.jsonl"
_CURRENT: Final = "current"
_NEXT: Final = "next"
_BLOCK: Final = 2**20


class RegistryError(Exception):
    """It cannot be done; the message says why."""


class Registry:
    """One expert's."""

    def __init__(self, folder: Path, expert: str) -> None:
        """Open it, or what will be it: nothing is made before something is added."""
        self._folder = folder / expert
        if (self._folder / HISTORY).exists():
            with self._alone():
                self._mend()

    @property
    def current(self) -> str | None:
        """The digest of what serves; None = what the catalogue shipped with."""
        return serving(self.history())

    @property
    def trial(self) -> Change | None:
        """The line that put a candidate where it is on trial now; None where nobody is."""
        return on_trial(self.history())

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
            made = {"digest": digest, "parent": self.current, "at": _now(), **facts}
            _write(self._folder / "candidates" / f"{digest}.json", json.dumps(made, indent=1).encode())
        return digest

    def promote(self, digest: str, *, by: str, why: str) -> Change:
        """Let a candidate serve.

        Raises:
            RegistryError: there is no such candidate, or it serves already.
        """
        with self._alone():
            if digest not in self.candidates():
                raise RegistryError(
                    f"there is no candidate {digest}; there are {', '.join(self.candidates()) or 'none'}"
                )
            if digest == self.current:
                raise RegistryError(f"{digest} serves already")
            return self._change(PROMOTED, digest, by, why)

    def adopt(self, artifact: Path, *, by: str) -> Change | None:
        """Take what the catalogue ships with in, so that both links name something; None where something serves.

        Raises:
            RegistryError: it is no folder, or an empty one.
        """
        if any(change.event in SERVING for change in self.history()):
            return None
        digest = self.add(artifact, {"adopted": True})
        with self._alone():
            return self._change(ADOPTED, digest, by, "what the catalogue ships with")

    def try_out(self, digest: str, share: float, *, is_shadow: bool, by: str, why: str) -> Change:
        """Put a candidate on trial, or give it another share.

        Raises:
            RegistryError: there is no such candidate, or it serves already.
        """
        with self._alone():
            if digest not in self.candidates():
                raise RegistryError(f"there is no candidate {digest}")
            if digest == self.current:
                raise RegistryError(f"{digest} serves already")
            return self._change(SHADOW if is_shadow else CANARY, digest, by, why, share)

    def end_trial(self, *, by: str, why: str) -> Change:
        """End the trial that goes on.

        Raises:
            RegistryError: nobody is on trial.
        """
        with self._alone():
            trial = self.trial
            if trial is None:
                raise RegistryError("nobody is on trial")
            return self._change(ENDED, trial.digest, by, why)

    def roll_back(self, *, by: str, why: str) -> Change:
        """Let what served before the last promotion serve again.

        Raises:
            RegistryError: nothing was promoted, or that is undone already.
        """
        with self._alone():
            before: list[str | None] = [None]
            for change in self.history():
                if change.event == ADOPTED:
                    before = [change.digest]
                elif change.event == PROMOTED:
                    before.append(change.digest)
                elif change.event == ROLLED_BACK and len(before) > 1:
                    before.pop()
            if len(before) < 2:
                raise RegistryError("nothing is promoted that could be undone")
            return self._change(ROLLED_BACK, before[-2], by, why)

    def _change(self, event: str, digest: str | None, by: str, why: str, share: float = 0.0) -> Change:
        change = Change(event, digest, _now(), by, why, share)
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


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
