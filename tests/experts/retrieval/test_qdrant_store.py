"""What a run leaves that dies before its generation counts: nothing that anybody sees, and nothing that stays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from experts.retrieval.qdrant_store import QdrantStore
from experts.retrieval.store import About, Change, CollectionMissing, Passage, StoreError

ABOUT = About("tiny", "hash", 3)
UP = np.array([1, 0, 0], np.float32)


def change(text: str, version: str, *, gone: frozenset[str] = frozenset(), file: str = "a.md") -> Change:
    return Change(ABOUT, {file: version}, [Passage(f"{file}-0", file, "", "", text)], UP[None, :], gone)


class Killed(Exception):
    """The process, here."""


@pytest.fixture
def store(tmp_path: Path) -> QdrantStore:
    return QdrantStore(str(tmp_path))


def die_before_commit(store: QdrantStore, what: Change, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(store, "_commit", killed)
        with pytest.raises(Killed):
            store.change("c", what)


def seen(store: QdrantStore) -> list[str]:
    return [hit.passage.text for hit in store.by_meaning("c", UP, 9)]


def points(store: QdrantStore) -> int:
    return int(store._client.count("moegate.c", exact=True).count)


def test_a_first_run_that_dies_leaves_no_collection(store: QdrantStore, monkeypatch: pytest.MonkeyPatch) -> None:
    die_before_commit(store, change("old", "1"), monkeypatch)
    assert store.names() == ()
    with pytest.raises(CollectionMissing):
        store.about("c")
    store.change("c", change("new", "1"))
    assert (seen(store), points(store)) == (["new"], 1)


def test_a_later_one_leaves_what_was(store: QdrantStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.change("c", change("old", "1"))
    die_before_commit(store, change("new", "2"), monkeypatch)
    assert (seen(store), store.files("c"), store.count("c")) == (["old"], {"a.md": "1"}, 1)
    assert [hit.passage.text for hit in store.by_words("c", "old new", 9)] == ["old"]
    store.change("c", change("beside", "1", file="b.md"))
    assert sorted(seen(store)) == ["beside", "old"], "what the dead run had marked is alive again"
    assert points(store) == 2


def test_what_went_is_kept_for_one_generation(store: QdrantStore) -> None:
    for version in ("1", "2", "3"):
        store.change("c", change(version, version))
        assert seen(store) == [version]
        assert points(store) <= 2


def test_a_server_that_is_away() -> None:
    with pytest.raises(StoreError, match="the store failed: ResponseHandlingException"):
        QdrantStore("http://127.0.0.1:1")


def test_a_language_that_nobody_knows(store: QdrantStore) -> None:
    about = About("tiny", "hash", 3, "Klingon")
    with pytest.raises(StoreError, match="Klingon"):
        store.change("c", Change(about, {"a": "1"}, [Passage("a", "a", "", "", "x")], UP[None, :]))
    assert store.names() == ()
