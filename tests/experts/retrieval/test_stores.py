"""What every store keeps to: a change is whole, both searches find, and what is not there has a name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experts.retrieval.store import About, Change, CollectionBroken, CollectionMissing, Passage, Store, StoreError
from experts.retrieval.stores import open_store

ABOUT = About("tiny", "hash", 3)
TEXTS = {
    "cats.md": "Cats sleep for most of a day.",
    "dogs.md": "Dogs bark at strangers' cars.",
    "o'neil.md": "Trains run on rails, 'quoted'.",
}
VECTORS = {"cats.md": [1, 0, 0], "dogs.md": [0.6, 0.8, 0], "o'neil.md": [0, 0, 1]}
STORES = ("lance", "qdrant")


@pytest.fixture(params=STORES)
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return {"lance": str(tmp_path / "lance"), "qdrant": f"qdrant:{tmp_path / 'qdrant'}"}[request.param]


@pytest.fixture
def store(address: str) -> Iterator[Store]:
    store = open_store(address)
    yield store
    store.close()


def change(*files: str, gone: frozenset[str] = frozenset(), version: str = "1") -> Change:
    passages = [Passage(f"{file}-0", file, "Pets", "line 1", TEXTS[file]) for file in files]
    vectors = np.array([VECTORS[file] for file in files], np.float32).reshape(-1, 3)
    return Change(ABOUT, dict.fromkeys(files, version), passages, vectors, gone)


def files_found(store: Store, query: str) -> list[str]:
    return [hit.passage.file for hit in store.by_words("pets", query, 5)]


def test_words_and_meaning_find(store: Store) -> None:
    store.change("pets", change(*TEXTS))
    assert files_found(store, "Do dogs bark?") == ["dogs.md"]
    assert files_found(store, "sleeping") == ["cats.md"], "word endings do not matter"
    nearest = store.by_meaning("pets", np.array([1, 0, 0], np.float32), 2)
    assert [(hit.passage.file, pytest.approx(hit.score, abs=1e-6)) for hit in nearest] == [
        ("cats.md", 1),
        ("dogs.md", 0.6),
    ]
    assert nearest[1].passage == Passage("dogs.md-0", "dogs.md", "Pets", "line 1", TEXTS["dogs.md"])
    np.testing.assert_allclose(nearest[1].vector, VECTORS["dogs.md"], rtol=1e-6)
    assert (store.names(), store.about("pets"), store.count("pets")) == (("pets",), ABOUT, 3)
    assert store.files("pets") == dict.fromkeys(TEXTS, "1")


@pytest.mark.parametrize("query", ["", "?!", '"AND (OR', "the of", "cats' OR 1=1; --", "猫 🐈"])
def test_no_query_breaks_it(store: Store, query: str) -> None:
    store.change("pets", change(*TEXTS))
    assert len(store.by_words("pets", query, 5)) <= 3


def test_a_change_replaces_adds_and_removes(store: Store) -> None:
    store.change("pets", change("cats.md", "o'neil.md"))
    store.change("pets", change("cats.md", "dogs.md", gone=frozenset({"o'neil.md"}), version="2"))
    assert store.files("pets") == {"cats.md": "2", "dogs.md": "2"}
    assert (store.count("pets"), files_found(store, "dogs"), files_found(store, "trains")) == (2, ["dogs.md"], [])


def test_a_file_s_old_passages_go_with_it(store: Store) -> None:
    first = change("cats.md")
    more = Passage("cats.md-1", "cats.md", "Pets", "line 9", "Cats also purr.")
    store.change("pets", Change(ABOUT, first.files, [*first.passages, more], np.eye(3, dtype=np.float32)[:2]))
    assert store.count("pets") == 2
    store.change("pets", change("cats.md", version="2"))
    assert (store.count("pets"), files_found(store, "purr")) == (1, [])


def test_an_emptied_collection_is_still_one(store: Store) -> None:
    store.change("pets", change("cats.md"))
    store.change("pets", change(gone=frozenset({"cats.md"})))
    assert (store.count("pets"), store.files("pets"), files_found(store, "cats")) == (0, {}, [])
    assert store.by_meaning("pets", np.array([1, 0, 0], np.float32), 3) == []


def test_another_encoder_s_vectors_do_not_mix(store: Store) -> None:
    store.change("pets", change("cats.md"))
    other = About("other", "another hash", 3)
    with pytest.raises(CollectionBroken, match="'pets' was made by another encoder"):
        store.change(
            "pets", Change(other, {"a": "1"}, [Passage("a-0", "a", "", "", "a")], np.eye(3, dtype=np.float32)[:1])
        )
    assert store.files("pets") == {"cats.md": "1"}


def test_a_collection_that_is_not_there_has_a_name(store: Store) -> None:
    assert store.files("pets") == {}
    for ask in (
        lambda: store.about("pets"),
        lambda: store.count("pets"),
        lambda: store.drop("pets"),
        lambda: store.by_words("pets", "cats", 1),
        lambda: store.by_meaning("pets", np.zeros(3, np.float32), 1),
    ):
        with pytest.raises(CollectionMissing, match="no collection 'pets'"):
            ask()
    with pytest.raises(StoreError, match="a collection's name has"):
        store.change("../pets", change("cats.md"))


def test_a_dropped_one_can_be_made_anew(store: Store) -> None:
    store.change("pets", change("cats.md"))
    store.drop("pets")
    assert store.names() == ()
    store.change("pets", change("dogs.md"))
    assert files_found(store, "dogs") == ["dogs.md"]


def test_what_is_written_is_there_for_the_next_process(store: Store, address: str) -> None:
    store.change("pets", change(*TEXTS))
    store.close()
    again = open_store(address)
    try:
        assert (again.names(), again.count("pets")) == (("pets",), 3)
        assert [hit.passage.file for hit in again.by_words("pets", "rails", 1)] == ["o'neil.md"]
    finally:
        again.close()


LATE = About("tiny", "hash", 3, late=2)
AXES = np.array([[1, 0], [0, 0.5], [0.25, 0]], np.float32)
PACKS = {"cats.md": [[127, 1], [-5, 127]], "dogs.md": [[127, 0]], "o'neil.md": [[0, 127], [127, 3], [-127, 9]]}


def late_change(*files: str, gone: frozenset[str] = frozenset(), axes: np.ndarray[Any, Any] = AXES) -> Change:
    plain = change(*files, gone=gone)
    tokens = [np.array(PACKS[file], np.int8) for file in files]
    return Change(LATE, plain.files, plain.passages, plain.vectors, gone, tokens, axes)


def test_a_collection_keeps_token_vectors_and_their_axes(store: Store, address: str) -> None:
    store.change("pets", late_change("cats.md", "o'neil.md"))
    store.change("pets", late_change("dogs.md", gone=frozenset({"cats.md"}), axes=2 * AXES))
    store.close()
    again = open_store(address)
    try:
        assert again.about("pets") == LATE
        np.testing.assert_array_equal(again.axes("pets"), AXES, "the first ones stay")
        found = again.tokens("pets", ["dogs.md-0", "o'neil.md-0", "cats.md-0", "none' OR 1=1"])
        assert {key: tokens.tolist() for key, tokens in found.items()} == {
            "dogs.md-0": PACKS["dogs.md"],
            "o'neil.md-0": PACKS["o'neil.md"],
        }
        assert [hit.passage.file for hit in again.by_words("pets", "rails", 1)] == ["o'neil.md"]
    finally:
        again.close()


def test_token_vectors_are_of_all_passages_or_of_none(store: Store) -> None:
    store.change("pets", change("cats.md"))
    assert store.axes("pets") is None
    with pytest.raises(CollectionBroken, match="or without token vectors"):
        store.change("pets", late_change("dogs.md"))
    with pytest.raises(CollectionMissing):
        store.axes("none")
