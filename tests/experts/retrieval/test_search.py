"""Two searches become one order, and what cannot be compared is not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experts.retrieval.rank import closer, fuse
from experts.retrieval.search import Searcher
from experts.retrieval.store import About, Change, CollectionBroken, CollectionMissing, Hit, Passage
from experts.retrieval.stores import open_store

QUERY = np.array([1, 0], np.float32)


def hit(name: str, score: float, cosine: float, text: str = "") -> tuple[str, Hit]:
    vector = np.array([cosine, (1 - cosine**2) ** 0.5], np.float32)
    return "c", Hit(Passage(name, "f", "", "", text or name), vector, score)


def order(by_words: list[tuple[str, Hit]], by_meaning: list[tuple[str, Hit]], k: int = 10) -> list[str]:
    return [ranked.passage.id for ranked in fuse(QUERY, by_words, by_meaning, k)]


def test_words_decide_between_those_that_mean_nearly_the_same() -> None:
    meaning = [hit("a", 0.81, 0.81), hit("b", 0.8, 0.8), hit("c", 0.2, 0.2)]
    assert order([], meaning) == ["a", "b", "c"]
    assert order([hit("b", 9.0, 0.8)], meaning) == ["b", "a", "c"]


def test_meaning_decides_between_those_with_nearly_the_same_words() -> None:
    words = [hit("c", 9.0, 0.1), hit("a", 8.9, 0.9), hit("b", 2.0, 0.5)]
    assert order(words, [hit("a", 0.9, 0.9), hit("b", 0.5, 0.5), hit("c", 0.1, 0.1)]) == ["a", "c", "b"]


def test_the_scores_are_told() -> None:
    [best, last] = fuse(QUERY, [hit("a", 3.0, 0.5)], [hit("b", 0.9, 0.9), hit("c", 0.2, 0.2)], 5)[:2]
    assert (best.passage.id, last.passage.id) == ("a", "b")
    assert (best.words, last.words, last.meaning) == (3.0, 0, pytest.approx(0.9))
    assert best.score == pytest.approx((3 - 1) / np.sqrt(2) + (0.5 - 8 / 15) / np.std([0.9, 0.2, 0.5]), abs=1e-5)


def test_one_text_has_one_place_and_no_more_than_asked_for_come() -> None:
    twice = [hit("a", 0.9, 0.9, "same"), hit("b", 0.8, 0.8, "same"), hit("c", 0.7, 0.7), hit("d", 0.1, 0.1)]
    assert order([], twice, k=2) == ["a", "c"]
    assert (order([], []), order([hit("a", 1, 0.5)], [])) == ([], ["a"])


def test_several_collections_are_searched_as_one(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    for name, text, vector in (("one", "Cats purr.", [1, 0]), ("two", "Dogs bark.", [0.8, 0.6])):
        passages = [Passage(f"{name}-0", f"{name}.md", "", "line 1", text)]
        about = About("tiny", "hash", 2)
        store.change(name, Change(about, {f"{name}.md": "1"}, passages, np.array([vector], np.float32)))
    found = Searcher(store, "hash").search(["one", "two"], "Who can bark?", np.array([0.9, 0.436], np.float32), 5)
    assert [(one.collection, one.passage.text) for one in found.passages] == [
        ("two", "Dogs bark."),
        ("one", "Cats purr."),
    ]
    assert min(found.words_s, found.meaning_s, found.rank_s) > 0
    with pytest.raises(CollectionMissing):
        Searcher(store, "hash").search(["one", "none"], "?", QUERY, 5)
    with pytest.raises(CollectionBroken, match="'one' was made by another encoder, tiny"):
        Searcher(store, "other weights").search(["one"], "?", QUERY, 5)


def test_tokens_decide_between_those_that_the_hybrid_cannot_tell_apart() -> None:
    ranked = fuse(QUERY, [], [hit("a", 0.81, 0.81), hit("b", 0.8, 0.8), hit("c", 0.2, 0.2)], 3)
    assert [one.passage.id for one in closer(ranked, [0.2, 0.9, 0.1])] == ["b", "a", "c"]
    assert [one.passage.id for one in closer(ranked, [None, 0.5, 0.1])] == ["b", "a", "c"]
    assert closer([], []) == []
    same = closer(ranked, [None, None, None])
    assert [one.passage.id for one in same] == ["a", "b", "c"]
    assert [one.score for one in same] == sorted((one.score for one in same), reverse=True)


def test_a_collection_with_token_vectors_is_ranked_by_them(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    texts = {"one": [[127, 0], [0, 127]], "two": [[127, 0], [127, 1]], "three": [[-127, -127]]}
    for name, late in (("late", 2), ("plain", 0)):
        passages = [Passage(f"{key}-0", f"{key}.md", "", "line 1", f"Cats {key}.") for key in texts]
        vectors = np.array([[0.8, 0.6], [0.81, 0.586], [0.2, 0.98]], np.float32)
        change = Change(About("tiny", "hash", 2, late=late), {f"{key}.md": "1" for key in texts}, passages, vectors)
        tokens = [np.array(rows, np.int8) for rows in texts.values()]
        store.change(name, replace(change, tokens=tokens, axes=np.eye(2, dtype=np.float32)) if late else change)
    asked = np.array([[1, 0], [0, 1]], np.float32)
    search = Searcher(store, "hash").search

    def order(collections: list[str], tokens: np.ndarray[Any, Any] | None) -> list[tuple[str, str]]:
        found = search(collections, "Who?", QUERY, 5, tokens).passages
        return [(one.collection, one.passage.id) for one in found]

    assert (
        order(["plain"], asked) == order(["plain"], None) == [("plain", f"{key}-0") for key in ("two", "one", "three")]
    )
    assert order(["late"], None) == [("late", f"{key}-0") for key in ("two", "one", "three")]
    assert order(["late"], asked) == [("late", f"{key}-0") for key in ("one", "two", "three")]
    assert len(search(["late"], "Who?", QUERY, 1, asked).passages) == 1
    assert len(order(["plain", "late"], asked)) == 3, "a text that both have counts once"
