"""What a store of passages is: the protocol, and the nouns that cross it.

A store keeps collections. A change of one is taken up whole or not at all, whatever happens to the process that makes
it: readers see the collection before it or after it. `experts.retrieval.lance_store` keeps collections in a folder or
in object storage, `experts.retrieval.qdrant_store` in a server; both keep to the same tests.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from experts.retrieval.late import Tokens

Vector = npt.NDArray[np.float32]
NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
"""What a collection can be named."""


class StoreError(Exception):
    """The store cannot be used; the message is for a person and holds no text of a document."""


class CollectionMissing(StoreError):
    """There is no collection of that name."""


class CollectionBroken(StoreError):
    """The collection was made in a way that this moegate does not read, or by another encoder."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a document.

    Attributes:
        id: unique in its collection, and the same whenever the same file is cut.
        file: the document's name, as it was indexed.
        title: the document's and the section's; may be empty.
        place: where in the file it is, such as `lines 3-9` or `page 2`.
        text: its words.
    """

    id: str
    file: str
    title: str
    place: str
    text: str

    @property
    def words(self) -> str:
        """What is indexed and encoded: the title, and the text below it."""
        return f"{self.title}\n{self.text}" if self.title else self.text


@dataclass(frozen=True, slots=True, eq=False)
class Hit:
    """A passage that a search has found.

    Attributes:
        passage: which.
        vector: its vector, of length 1.
        score: by the search's own measure; higher is nearer.
    """

    passage: Passage
    vector: Vector
    score: float


@dataclass(frozen=True, slots=True)
class About:
    """What is known of a collection beside its passages.

    Attributes:
        encoder: the base of the encoder that made its vectors.
        artifact: the content hash of that encoder's weights.
        dimensions: of a vector.
        language: whose word endings and stop words the word index knows; empty: none.
        late: dimensions of its token vectors, for late interaction; 0: it has none.
    """

    encoder: str
    artifact: str
    dimensions: int
    language: str = "English"
    late: int = 0


@dataclass(frozen=True, slots=True)
class Change:
    """What one run of indexing does to a collection.

    Attributes:
        about: of the collection as it will be.
        files: the hash of each file that is new or has changed.
        passages: theirs, in any order.
        vectors: the passages' vectors, (passages, dimensions).
        gone: files whose passages go.
        tokens: the token vectors of each passage; empty where the collection has none.
        axes: that these were brought to, (the encoder's dimensions, `about.late`); a collection keeps its first ones.
    """

    about: About
    files: Mapping[str, str] = field(default_factory=dict)
    passages: Sequence[Passage] = ()
    vectors: Vector = field(default_factory=lambda: np.empty((0, 0), np.float32))
    gone: frozenset[str] = frozenset()
    tokens: Sequence[Tokens] = ()
    axes: Vector | None = None

    @property
    def replaced(self) -> frozenset[str]:
        """The files whose passages, as they were before, go."""
        return self.gone | set(self.files)


class Store(Protocol):
    """Keeps collections. Every method blocks, and may raise `StoreError`."""

    def names(self) -> tuple[str, ...]:
        """Name the collections."""

    def about(self, collection: str) -> About:
        """Tell of a collection.

        Raises:
            CollectionMissing: there is none of that name.
        """

    def files(self, collection: str) -> dict[str, str]:
        """Return the hash of each file that a collection holds; empty where there is no such collection."""

    def count(self, collection: str) -> int:
        """Count a collection's passages.

        Raises:
            CollectionMissing: there is none of that name.
        """

    def change(self, collection: str, change: Change) -> None:
        """Take a change up, whole or not at all; a collection that is not there is made.

        Raises:
            CollectionBroken: the collection's vectors are of another encoder, or it has no token vectors.
        """

    def by_words(self, collection: str, query: str, k: int) -> list[Hit]:
        """Find the `k` passages that are nearest by their words (BM25), best first; fewer where fewer share any.

        Raises:
            CollectionMissing: there is none of that name.
        """

    def by_meaning(self, collection: str, query: Vector, k: int) -> list[Hit]:
        """Find the `k` passages whose vectors are nearest, best first; the score is the cosine.

        Raises:
            CollectionMissing: there is none of that name.
        """

    def axes(self, collection: str) -> Vector | None:
        """Return the axes of a collection's token vectors, (the encoder's dimensions, theirs); None: it has none.

        Raises:
            CollectionMissing: there is none of that name.
        """

    def tokens(self, collection: str, ids: Sequence[str]) -> dict[str, Tokens]:
        """Return the token vectors of passages of a collection that has such; one that is not there is left out.

        Raises:
            CollectionMissing: there is none of that name.
        """

    def drop(self, collection: str) -> None:
        """Remove a collection.

        Raises:
            CollectionMissing: there is none of that name.
        """

    def close(self) -> None:
        """Let go of whatever is open."""


def made_otherwise(collection: str) -> CollectionBroken:
    """Make the error of a change that does not fit its collection."""
    what = "was made by another encoder, for another language, or without token vectors"
    return CollectionBroken(f"the collection {collection!r} {what}; drop it, and index its files again")


def check_name(name: str) -> None:
    """See that a collection can be named so.

    Raises:
        StoreError: it cannot.
    """
    if not NAME.fullmatch(name):
        raise StoreError(f"{name!r}: a collection's name has 1 to 63 of a-z, 0-9, _ and -, and begins with none of _-")
