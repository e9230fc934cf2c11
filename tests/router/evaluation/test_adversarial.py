from pathlib import Path

import numpy as np
import pytest

from router.evaluation.adversarial import WORDS, candidates, search, sentences, strongest, with_suffix
from router.features.featurize import RouteQuery, Turn
from router.model.artifact import load
from router.model.gate import Gate
from router.training.dataset import Row


@pytest.fixture
def gate(artifact_file: Path) -> Gate:
    return Gate(load(artifact_file))


@pytest.fixture
def asked(rows: list[Row]) -> list[Row]:
    return [row for row in rows if "coder" not in row.labels and not row.query.has_tools][:6]


def margin(gate: Gate, rows: list[Row], target: str) -> float:
    """How far a target's log-odds are above its best rival's, on average."""
    logits = np.array([gate.raw(gate.features(row.query)) for row in rows])
    at = gate.artifact.classes.index(target)
    return float((logits[:, at] - np.delete(logits, at, axis=1).max(axis=1)).mean())


def test_a_gadget_raises_its_target(artifact_file: Path, rows: list[Row]) -> None:
    gate = Gate(load(artifact_file))
    asked = [row for row in rows if "coder" not in row.labels and not row.query.has_tools][:6]
    gadget = search(gate, asked, "coder", 5)
    at = gate.artifact.classes.index("coder")
    before = np.mean([gate.raw(gate.features(row.query))[at] for row in asked])
    after = np.mean([gate.raw(gate.features(with_suffix(row, [gadget]).query))[at] for row in asked])
    assert len(candidates(gate, "coder", 5, asked)) == 5 and after > before


def test_a_gadget_is_made_of_its_candidates_and_never_better_than_the_next_word_tried(
    gate: Gate, asked: list[Row]
) -> None:
    pool = candidates(gate, "coder", 3, asked)
    words = search(gate, asked, "coder", 3).split()
    assert len(words) == WORDS
    assert set(words) <= set(pool)
    first = {word: margin(gate, [with_suffix(row, [word]) for row in asked], "coder") for word in pool}
    assert words[0] == max(first, key=first.__getitem__)


def test_the_best_candidates_come_first(gate: Gate, asked: list[Row]) -> None:
    many = candidates(gate, "coder", 40, asked)
    assert len(set(many)) == 40
    assert candidates(gate, "coder", 5, asked) == many[:5]
    assert many != candidates(gate, "advisor", 40, asked)


def test_words_are_added_to_the_newest_user_turn_alone() -> None:
    turns = (Turn("user", "one"), Turn("assistant", "two"), Turn("user", "three"), Turn("assistant", "four"))
    row = with_suffix(Row("s", RouteQuery(turns), ("coder",), ("tag",)), ["a", "b"])
    assert [turn.text for turn in row.query.turns] == ["one", "two", "three a b", "four"]
    assert (row.source, row.labels, row.tags) == ("s", ("coder",), ("tag",))


def test_sentences_are_the_targets_own_and_short_the_clearest_first(gate: Gate, rows: list[Row]) -> None:
    long = Row("s", RouteQuery((Turn("user", "write a python function " * 6),)), ("coder",))
    both = Row("s", RouteQuery((Turn("user", "write a python function or a poem"),)), ("coder", "advisor"))
    later = Row("s", RouteQuery((Turn("user", "hi"), Turn("user", "fix this sql query"))), ("coder",))
    found = sentences(gate, [long, both, later, *rows], "coder", 5)
    assert len(found) == 5
    own = {row.query.turns[0].text for row in rows if row.labels == ("coder",)}
    assert set(found) <= own
    clear = [margin(gate, [Row("s", RouteQuery((Turn("user", text),)), ("coder",))], "coder") for text in found]
    assert clear == sorted(clear, reverse=True)


def test_the_strongest_suffix_moves_the_batch_furthest(gate: Gate, asked: list[Row]) -> None:
    pool = ["thank you", "write a python function that parses bread", "hello"]
    moved = {text: margin(gate, [with_suffix(row, [text]) for row in asked], "coder") for text in pool}
    assert strongest(gate, asked, "coder", pool) == max(moved, key=moved.__getitem__) == pool[1]
