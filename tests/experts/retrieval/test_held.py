"""Rows in memory answer as the table does, and follow it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from experts.retrieval.lance_store import LanceStore
from experts.retrieval.store import About, Change, Hit, Passage

ABOUT = About("tiny", "hash", 8)
WORDS = ("cats", "dogs", "trains", "rails", "houses")


def change(count: int, file: str = "f", seed: int = 1) -> Change:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(count, 8)).astype(np.float32)
    passages = [
        Passage(f"{file}-{row}", file, "", "", " ".join(rng.choice(WORDS, rng.integers(1, 6)).tolist()))
        for row in range(count)
    ]
    return Change(ABOUT, {file: str(seed)}, passages, vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def seen(hits: Sequence[Hit]) -> list[tuple[str, float, float]]:
    return [(hit.passage.id, pytest.approx(hit.score, abs=1e-5), pytest.approx(hit.vector[0])) for hit in hits]


def test_memory_finds_what_the_table_finds(tmp_path: Path) -> None:
    held, unheld = LanceStore(str(tmp_path)), LanceStore(str(tmp_path), held_passages=199)
    held.change("c", change(200))
    assert unheld.count("c") == 200, "one more than it holds"
    for seed in range(20):
        query = change(1, seed=100 + seed).vectors[0]
        assert seen(held.by_meaning("c", query, 7)) == seen(unheld.by_meaning("c", query, 7))
    for words in ("cats", "dogs and trains", "houses rails cats"):
        found = held.by_words("c", words, 500)
        assert {hit.passage.id: hit.score for hit in found} == pytest.approx(
            {hit.passage.id: hit.score for hit in unheld.by_words("c", words, 500)}
        )
        assert [hit.score for hit in found] == sorted((hit.score for hit in found), reverse=True)
        assert all(set(hit.passage.text.split()) & set(words.split()) for hit in found)


def test_what_another_writes_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("experts.retrieval.lance_store._FRESH", timedelta(0))
    reader, writer = LanceStore(str(tmp_path)), LanceStore(str(tmp_path))
    writer.change("c", change(5))
    query = change(1, "g", 9).vectors[0]
    assert {hit.passage.file for hit in reader.by_meaning("c", query, 9)} == {"f"}
    writer.change("c", change(1, "g", 9))
    best = reader.by_meaning("c", query, 9)
    assert (best[0].passage.file, best[0].score, len(best)) == ("g", pytest.approx(1), 6)
    words = best[0].passage.text
    assert "g-0" in {hit.passage.id for hit in reader.by_words("c", words, 9)}
    writer.change("c", Change(ABOUT, gone=frozenset({"f"}), vectors=np.empty((0, 8), np.float32)))
    assert [hit.passage.id for hit in reader.by_meaning("c", query, 9)] == ["g-0"]


def test_one_made_anew_under_its_name_is_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("experts.retrieval.lance_store._FRESH", timedelta(0))
    reader, writer = LanceStore(str(tmp_path)), LanceStore(str(tmp_path))
    query = change(1).vectors[0]
    for file, seed in (("f", 1), ("g", 2)):  # as many versions each time
        writer.change("c", change(5, file, seed))
        assert {hit.passage.file for hit in reader.by_meaning("c", query, 9)} == {file}
        writer.drop("c")


def test_those_read_first_make_room(tmp_path: Path) -> None:
    store = LanceStore(str(tmp_path), held_passages=25)
    query = change(1).vectors[0]
    for name in ("a", "b", "c"):
        store.change(name, change(10))
        assert len(store.by_meaning(name, query, 3)) == 3
    assert sorted(store._held._held) == ["b", "c"]
    assert len(store.by_meaning("a", query, 3)) == 3
