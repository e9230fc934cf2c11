"""The objects of the stand-in: versions, generations, owners, and the events of a watch."""

import copy
import itertools
import threading
from collections.abc import Callable, Iterator
from typing import Any

from tests.fakes.cluster.kinds import BY_NAME, Kind, mistakes

Document = dict[str, Any]
Key = tuple[str, str, str, str]  # API version, kind, namespace, name
STARTED = "2026-01-01T00:00:00Z"


class ApiError(Exception):
    """What the server answers instead: a code, a reason, and words."""

    def __init__(self, code: int, reason: str, message: str, details: Document | None = None) -> None:
        super().__init__(message)
        self.code, self.reason, self.details = code, reason, details or {}


class Store:
    """Keeps objects; every change has a number, and whoever watches sees it."""

    def __init__(self) -> None:
        self.changed = threading.Condition(threading.RLock())
        self.events: list[tuple[int, str, Document]] = []
        self._objects: dict[Key, Document] = {}
        self._numbers = itertools.count(1)
        self.version = 0
        self.after_change: Callable[[], None] = lambda: None
        self._settling = False

    def all(self, name: str, namespace: str | None = None) -> list[Document]:
        """Every object of a kind, by name."""
        found = [one for key, one in sorted(self._objects.items()) if key[1] == name and namespace in (None, key[2])]
        return copy.deepcopy(found)

    def get(self, kind: Kind, namespace: str, name: str) -> Document:
        """Return one object.

        Raises:
            ApiError: there is none.
        """
        key = (kind.api_version, kind.name, namespace if kind.namespaced else "", name)
        if key not in self._objects:
            raise ApiError(404, "NotFound", f'{kind.plural} "{name}" not found', {"name": name, "kind": kind.plural})
        return copy.deepcopy(self._objects[key])

    def create(self, document: Document, *, dry: bool = False) -> Document:
        """Take a new object in.

        Raises:
            ApiError: there is one of its name.
        """
        with self.changed:
            made = copy.deepcopy(document)
            meta = made["metadata"]
            if "name" not in meta:
                meta["name"] = f"{meta['generateName']}{next(self._numbers):05d}"
            key = self._key(made)
            if key in self._objects:
                raise ApiError(409, "AlreadyExists", f'"{meta["name"]}" already exists')
            number = next(self._numbers)
            meta |= {"uid": f"00000000-0000-4000-8000-{number:012d}", "creationTimestamp": STARTED, "generation": 1}
            return made if dry else self._keep(key, made, "ADDED")

    def replace(self, document: Document, *, dry: bool = False) -> Document:
        """Change an object.

        Raises:
            ApiError: there is none, or it has changed since it was read.
        """
        with self.changed:
            key = self._key(document)
            before = self.get(BY_NAME[key[0], key[1]], key[2], key[3])
            told = document["metadata"].get("resourceVersion")
            if told not in (None, before["metadata"]["resourceVersion"]):
                raise ApiError(409, "Conflict", "the object has been modified; please apply your changes to the latest")
            made = copy.deepcopy(document)
            for name in ("uid", "creationTimestamp", "generation", "resourceVersion"):
                made["metadata"][name] = before["metadata"][name]
            if made == before:
                return made
            if made.get("spec") != before.get("spec"):
                made["metadata"]["generation"] += 1
            return made if dry else self._keep(key, made, "MODIFIED")

    def delete(self, kind: Kind, namespace: str, name: str) -> Document:
        """Take an object away, and what it owns.

        Raises:
            ApiError: there is none.
        """
        with self.changed:
            gone = self.get(kind, namespace, name)
            del self._objects[self._key(gone)]
            self._tell("DELETED", gone)
            for owned in self._owned_by(gone["metadata"]["uid"]):
                self.delete(BY_NAME[owned["apiVersion"], owned["kind"]], namespace, owned["metadata"]["name"])
            self._settle()
            return gone

    def _owned_by(self, uid: str) -> Iterator[Document]:
        for one in list(self._objects.values()):
            if uid in [owner["uid"] for owner in one["metadata"].get("ownerReferences", ())]:
                yield one

    def _keep(self, key: Key, made: Document, event: str) -> Document:
        self._objects[key] = made
        self._tell(event, made)
        self._settle()
        return copy.deepcopy(self._objects.get(key, made))

    def _tell(self, event: str, document: Document) -> None:
        self.version += 1
        document["metadata"]["resourceVersion"] = str(self.version)
        self.events.append((self.version, event, copy.deepcopy(document)))
        self.changed.notify_all()

    def _settle(self) -> None:
        """Let the controllers do what they do, until nothing changes any more."""
        if self._settling:
            return
        self._settling = True
        try:
            before = -1
            while before != self.version:
                before = self.version
                self.after_change()
        finally:
            self._settling = False

    def _key(self, document: Document) -> Key:
        kind = BY_NAME[document["apiVersion"], document["kind"]]
        namespace = document["metadata"].get("namespace", "") if kind.namespaced else ""
        return kind.api_version, kind.name, namespace, document["metadata"]["name"]

    def judge(self, document: Document) -> None:
        """See that an object that a client sends can be kept.

        Raises:
            ApiError: it is not valid, or its namespace is not there.
        """
        if wrong := mistakes(document):
            name = document["metadata"].get("name")
            raise ApiError(422, "Invalid", f'{document["kind"]} "{name}" is invalid: {"; ".join(wrong)}')
        namespace = document["metadata"].get("namespace")
        if namespace is not None and ("v1", "Namespace", "", namespace) not in self._objects:
            raise ApiError(404, "NotFound", f'namespaces "{namespace}" not found', {"name": namespace})
