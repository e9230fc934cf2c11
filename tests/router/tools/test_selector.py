"""The shipped selector finds the tools of plain requests, keeps what it must, and says when it cannot tell."""

import json
from itertools import pairwise
from pathlib import Path

import pytest

from router.errors import ArtifactError
from router.tools.index import ToolIndex, ToolText, build_index
from router.tools.likeness import LIKENESS
from router.tools.question import read_question
from router.tools.selector import DEFAULT_PATH, Selector, read_selector, shipped_selector


@pytest.mark.parametrize(
    ("words", "place"),
    [
        ("Will it rain in Oslo today?", 0),
        ("I need a plane from Rome to Paris on Friday", 1),
        ("Write to anna@example.org that I am late", 2),
        ("How much are 20 dollars in yen?", 3),
        ("Put on some Miles Davis songs", 4),
        ("Shut the garage", 5),
    ],
)
def test_the_right_tool_is_first(index: ToolIndex, words: str, place: int) -> None:
    scores = shipped_selector().scores(read_question(words), index)
    assert int(scores.argmax()) == place


def many(tools: list[ToolText], count: int) -> ToolIndex:
    others = [ToolText(f"report_{n}_of_factory", f"Report {n} about machine {n}", {}) for n in range(count)]
    return build_index([*tools, *others])


def test_a_few_of_many_are_kept(tools: list[ToolText]) -> None:
    index = many(tools, 300)
    question = read_question("Play a song by Björk, then lock the kitchen.")
    selection = shipped_selector().select(question, index, recall=0.97, at_most=128)
    assert selection.is_sure
    assert {4, 5} <= set(selection.kept)
    assert len(selection.kept) < 100
    assert list(selection.kept) == sorted(selection.kept)


def test_a_higher_recall_keeps_no_less(tools: list[ToolText]) -> None:
    index, question, selector = many(tools, 100), read_question("Play a song"), shipped_selector()
    kept = [
        set(selector.select(question, index, recall=recall, at_most=128).kept) for recall in sorted(selector.margins)
    ]
    assert all(fewer <= more for fewer, more in pairwise(kept))


def test_what_must_be_kept_is_kept(tools: list[ToolText]) -> None:
    index = many(tools, 300)
    selection = shipped_selector().select(
        read_question("Play a song"), index, recall=0.9, at_most=3, always=[250, 0, 250]
    )
    assert {0, 250} <= set(selection.kept)
    assert len(selection.kept) <= 3


def test_words_that_tell_nothing_keep_all_or_as_many_as_may_be(tools: list[ToolText]) -> None:
    index = many(tools, 30)
    for at_most, kept in ((128, 36), (10, 10)):
        selection = shipped_selector().select(read_question("Hmm."), index, recall=0.97, at_most=at_most)
        assert not selection.is_sure
        assert len(selection.kept) == kept


def test_a_recall_that_was_not_calibrated_is_refused() -> None:
    with pytest.raises(ArtifactError, match="calibrated up to"):
        shipped_selector().margin(0.999)


def test_margins_grow_with_the_recall() -> None:
    margins = [shipped_selector().margins[recall] for recall in sorted(shipped_selector().margins)]
    assert margins == sorted(margins)
    assert margins[0] > 0


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"format": 2}', json.dumps({"format": 1, "weights": {"a": 1}, "margins": {}})],
)
def test_another_file_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "selector.json"
    path.write_text(content)
    with pytest.raises(ArtifactError):
        read_selector(path)


def test_the_artefact_has_a_weight_for_each_number() -> None:
    selector: Selector = read_selector(DEFAULT_PATH)
    assert selector.weights.shape == (len(LIKENESS),)
