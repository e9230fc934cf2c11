"""Brings a collection up to its files: what is new is cut and encoded, what has changed replaced, what is gone removed.

A file is known by the hash of its content, so a second run costs reading. The vectors go to a spool as they are made;
the collection changes once, at the end (`Store.change`). So a run that is killed leaves the collection as it was, and
the next one goes on where it stopped.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from experts.encoders.encoder import Encode
from experts.retrieval.cut import cut
from experts.retrieval.encode import PassageEncoder
from experts.retrieval.read import READERS, UnreadableFile, parts_of
from experts.retrieval.spool import Spool
from experts.retrieval.store import About, Change, CollectionMissing, Passage, Store, StoreError, Vector


@dataclass(frozen=True, slots=True)
class Report:
    """What a run has done.

    Attributes:
        added: files that are new; likewise `changed`, `unchanged`, `removed`.
        passages: of the new and the changed ones.
        reused: of those, whose vectors an earlier run had made.
        unreadable: files that could not be read, and why; the collection keeps what it had of them.
    """

    added: int
    changed: int
    unchanged: int
    removed: int
    passages: int
    reused: int
    unreadable: tuple[str, ...]


@dataclass(slots=True)
class _Work:
    """What has come together for a change."""

    files: dict[str, str] = field(default_factory=dict)
    passages: list[Passage] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


class Indexer:
    """Indexes into one collection."""

    def __init__(
        self,
        store: Store,
        collection: str,
        about: About,
        encoder: Encode,
        spool: Path,
        *,
        progress: Callable[[int, int], None] = lambda done, whole: None,
    ) -> None:
        """Take the parts.

        Args:
            store: where the collection is, or is to be.
            collection: its name.
            about: what it is made by.
            encoder: makes its vectors.
            spool: a folder for what is not committed yet.
            progress: is told how many passages are encoded, out of how many.
        """
        self._store = store
        self._collection = collection
        self._about = about
        self._encoder = encoder
        self._folder = spool
        self._progress = progress

    def index(self, paths: Sequence[Path]) -> Report:
        """Bring the collection up to files and folders; of a folder, what is no longer there is removed, too.

        Raises:
            StoreError: the store cannot be used, or another run is at it.
            UnreadableFile: a path is neither a file nor a folder.
        """
        named = dict(_files(paths))
        with _alone(self._folder, self._collection):
            held = self._store.files(self._collection)
            hashes = {name: _hash(path) for name, path in named.items()}
            fresh = [name for name in named if held.get(name) != hashes[name]]
            gone = frozenset(name for name in held if name not in named and _is_below(name, paths))
            work = self._read(fresh, named, hashes)
            report = Report(
                added=sum(name not in held for name in work.files),
                changed=sum(name in held for name in work.files),
                unchanged=len(named) - len(fresh),
                removed=len(gone),
                passages=len(work.passages),
                reused=0,
                unreadable=tuple(work.unreadable),
            )
            return self._commit(work, gone, report)

    def _read(self, names: Sequence[str], paths: dict[str, Path], hashes: dict[str, str]) -> _Work:
        work = _Work()
        for name in names:
            try:
                work.passages += cut(name, parts_of(paths[name]))
                work.files[name] = hashes[name]
            except UnreadableFile as error:
                work.unreadable.append(str(error))
        return work

    def _commit(self, work: _Work, gone: frozenset[str], report: Report) -> Report:
        if not (work.files or gone):
            return report
        spool = Spool(self._folder, self._encoder.artifact)
        late = self._about.late
        encoder = PassageEncoder(
            self._encoder, spool, late=late, axes=self._axes() if late else None, progress=self._progress
        )
        made = encoder.encode(work.passages)
        change = Change(self._about, work.files, work.passages, made.pooled, gone, made.tokens, made.axes)
        self._store.change(self._collection, change)
        spool.clear()
        return replace(report, reused=made.reused)

    def _axes(self) -> Vector | None:
        try:
            return self._store.axes(self._collection)
        except CollectionMissing:
            return None


def remove(store: Store, collection: str, names: Sequence[str], folder: Path) -> int:
    """Remove files from a collection; return how many of them were in it. `folder` is the spool's.

    Raises:
        StoreError: the store cannot be used, there is no such collection, or another run is at it.
    """
    about = store.about(collection)
    with _alone(folder, collection):
        gone = frozenset(os.path.normpath(name) for name in names) & store.files(collection).keys()
        if gone:
            store.change(collection, Change(about, vectors=np.empty((0, about.dimensions), np.float32), gone=gone))
        return len(gone)


@contextmanager
def _alone(folder: Path, collection: str) -> Iterator[None]:
    """Keep other runs of this machine away from a collection.

    Raises:
        StoreError: there is one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f".{collection}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(f"another run is at the collection {collection!r}") from None
        yield


def _files(paths: Sequence[Path]) -> Iterator[tuple[str, Path]]:
    """List the files that are named, and below folders those that can be read; hidden ones are left out.

    Raises:
        UnreadableFile: a path is neither a file nor a folder.
    """
    for path in paths:
        if path.is_dir():
            for file in sorted(path.rglob("*")):
                is_hidden = any(part.startswith(".") for part in file.relative_to(path).parts)
                if file.suffix.lower() in READERS and not is_hidden and file.is_file():
                    yield os.path.normpath(file), file
        elif path.is_file():
            yield os.path.normpath(path), path
        else:
            raise UnreadableFile(f"{path}: there is no such file or folder")


def _is_below(name: str, paths: Sequence[Path]) -> bool:
    return any(path.is_dir() and Path(name).is_relative_to(os.path.normpath(path)) for path in paths)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
