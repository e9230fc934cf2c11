"""A registry in an object store, for gateways and turns on several machines; what serves is mirrored into a folder.

    EXPERT/artifacts/DIGEST/...     a candidate's files, never changed
    EXPERT/candidates/DIGEST.json   its manifest, written after its files
    EXPERT/history/00000001.json    a line of the history each: the truth

An object store renames nothing and appends nothing, so a line is an object of its own, and the next line has the next
number. It is written on the condition that there is none of that number (S3: `If-None-Match: *`; fsspec:
`mode="create"`). Of two who change the same state one wins; the other is told and has changed nothing. What experts
load and gateways follow is a folder (`experts.flywheel.registry`), which is brought up to date whenever it is opened.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from experts.flywheel.changes import Changes, RegistryError
from experts.flywheel.history import Change
from experts.flywheel.registry import Registry, digest_of, now

_LINE: Final = "line"
_OURS: Final = "written_by"


class Overtaken(RegistryError):
    """Somebody else has changed the registry since it was looked at; nothing is changed here."""


class ObjectRegistry(Changes):
    """One expert's, under a URL, with its mirror in a folder."""

    def __init__(self, url: str, folder: Path, expert: str) -> None:
        """Open it, and bring the mirror up to date.

        Raises:
            RegistryError: the store cannot be reached, or what its URL takes is not installed.
        """
        try:
            import fsspec  # noqa: PLC0415  # an extra: only a URL needs it

            self._files, path = fsspec.core.url_to_fs(url, use_listings_cache=False)
        except (ImportError, ValueError):
            raise RegistryError("flywheel.registry needs pip install 'moegate[flywheel]'") from None
        self._path = f"{str(path).rstrip('/')}/{expert}"
        self._lines: dict[str, Change] = {}  # by name: a line never changes
        self._looked_at: list[Change] | None = None
        self.mirror = Registry(folder, expert)
        self.bring()

    @property
    def link(self) -> Path:
        """The mirror's."""
        return self.mirror.link

    @property
    def next_link(self) -> Path:
        """The mirror's."""
        return self.mirror.next_link

    def bring(self) -> bool:
        """Bring the mirror up to date: weights first, then the history, then the links; whether there was need to.

        Raises:
            RegistryError: the store cannot be reached, or what it holds is damaged.
        """
        history = self.history()
        if history == self.mirror.history():
            return False
        self.mirror.mirror(history, self.candidates(), self._download)
        return True

    def history(self) -> list[Change]:
        """Read the lines that are new; those of numbers that follow each other without a gap."""
        if self._looked_at is not None:
            return list(self._looked_at)
        with _told("the history cannot be read"):
            for name in self._listed("history"):
                if name not in self._lines:
                    self._lines[name] = _change_in(self._files.cat_file(f"{self._path}/history/{name}"))
        found: list[Change] = []
        while (line := self._lines.get(_number(len(found) + 1))) is not None:
            found.append(line)
        return found

    def candidates(self) -> dict[str, Mapping[str, Any]]:
        """Read all manifests."""
        with _told("candidates cannot be read"):
            names = self._listed("candidates")
            return {
                name.removesuffix(".json"): json.loads(self._files.cat_file(f"{self._path}/candidates/{name}"))
                for name in names
            }

    def add(self, artifact: Path, facts: Mapping[str, Any]) -> str:
        """Upload a candidate, its manifest last."""
        if not artifact.is_dir():
            raise RegistryError(f"{artifact} is no folder")
        digest = digest_of(artifact)
        made = {"digest": digest, "parent": self.current, "at": now(), **facts}
        with _told("the candidate cannot be written"):
            for path in sorted(path for path in artifact.rglob("*") if path.is_file()):
                self._files.put_file(str(path), self._place("artifacts", digest, *path.relative_to(artifact).parts))
            self._files.pipe_file(self._place("candidates", f"{digest}.json"), json.dumps(made, indent=1).encode())
        return digest

    def _change(self, event: str, digest: str | None, by: str, why: str, share: float = 0.0) -> Change:
        change, mark = Change(event, digest, now(), by, why, share), secrets.token_hex(8)
        name = _number(len(self.history()) + 1)
        self._create(name, json.dumps({_LINE: asdict(change), _OURS: mark}).encode(), mark)
        self._lines[name] = change
        self._looked_at = None
        self.bring()
        return change

    def _create(self, name: str, content: bytes, mark: str) -> None:
        """Write a line that is not there yet.

        A driver may try again what has succeeded unseen, so a refusal is no proof: whose mark is there decides.
        """
        path, failed = f"{self._path}/history/{name}", ""
        try:
            path = self._place("history", name)
            self._files.pipe_file(path, content, mode="create")
        except Exception as error:  # every driver has errors of its own
            failed = type(error).__name__
        with _told(f"the change cannot be written ({failed})" if failed else "the change cannot be read back"):
            found = json.loads(self._files.cat_file(path))
        if found.get(_OURS) != mark:
            raise Overtaken("somebody else has changed the registry meanwhile: look again")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody is kept out: what is looked at stays as it is here, and the change holds only if it still is."""
        self._looked_at = self.history()
        try:
            yield
        finally:
            self._looked_at = None

    def _place(self, *parts: str) -> str:
        """A path whose folder is there, for stores that have folders."""
        path = "/".join((self._path, *parts))
        self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
        return path

    def _listed(self, folder: str) -> list[str]:
        try:
            listed = self._files.ls(f"{self._path}/{folder}", detail=False)
        except FileNotFoundError:
            return []
        return sorted(name for one in listed if (name := str(one).rsplit("/", 1)[-1]).endswith(".json"))

    def _download(self, digest: str, folder: Path) -> None:
        with _told(f"{digest} cannot be read"):
            root = f"{self._path}/artifacts/{digest}"
            for path in self._files.find(root):
                target = folder / str(path).removeprefix(f"{root}/")
                target.parent.mkdir(parents=True, exist_ok=True)
                self._files.get_file(path, str(target))


def _number(place: int) -> str:
    return f"{place:08}.json"


def _change_in(content: bytes) -> Change:
    return Change(**json.loads(content)[_LINE])


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Tell of a store's failure by its class: its own words may hold addresses and keys."""
    try:
        yield
    except Exception as error:
        raise RegistryError(f"{what}: {type(error).__name__}") from None
