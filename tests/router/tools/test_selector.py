"""The shipped selector finds the tools of plain requests, keeps what it must, and says when it cannot tell."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from experts.catalog.encoders import DEFAULT_ENCODER, encoder_name
from router.errors import ArtifactError
from router.tools.index import ToolIndex, ToolText, build_index
from router.tools.likeness import LIKENESS, likeness
from router.tools.meaning import NEARNESS, Meaning, asked_line, line_of, nearness
from router.tools.question import read_question
from router.tools.selector import DEFAULT_PATH, Head, Selection, Selector, read_selector, shipped_selector


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
    scores = likeness(read_question(words), index) @ shipped_selector().words.weights
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
        set(selector.select(question, index, recall=recall, at_most=128).kept)
        for recall in sorted(selector.words.margins)
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
        shipped_selector().words.calibrated(0.999)


def test_margins_and_floors_grow_with_the_recall() -> None:
    for head in heads():
        known = [head.calibrated(recall) for recall in sorted(head.margins)]
        for values in zip(*known, strict=True):
            assert list(values) == sorted(values)
        assert known[0][0] > 0
        assert 0 <= known[-1][1] < 0.25


def test_a_share_of_the_tools_is_kept_however_near_the_best_one_stands() -> None:
    head = Head(np.array([1.0], np.float32), {0.9: 1.0}, {0.9: 0.25})
    near = np.array([[9.0], [8.5], [1.0], [3.0], [2.0], [0.0], [0.0], [0.0], [0.0]], np.float32)
    assert head.choose(near, recall=0.9, at_most=128) == Selection([0, 1, 3], is_sure=True)  # nine quarters: three
    assert head.choose(near, recall=0.9, at_most=2).kept == [0, 1]


def encoded(tools: list[ToolText], count: int, nearest: int) -> Meaning:
    """Vectors of an encoder that is sure of one tool."""
    vectors = np.zeros((len(tools) + count, 3), np.float32)
    vectors[:, 0] = 1
    vectors[nearest] = [0, 1, 0]
    return Meaning(np.array([0, 1, 0], np.float32), vectors)


def test_what_an_encoder_says_counts(tools: list[ToolText]) -> None:
    index, question = many(tools, 300), read_question("Hmm.")
    selection = shipped_selector().select(question, index, recall=0.9, at_most=4, meaning=encoded(tools, 300, 77))
    assert 77 in selection.kept
    assert 77 not in shipped_selector().select(question, index, recall=0.9, at_most=4).kept


def test_a_selector_without_that_head_leaves_it_to_the_words(tools: list[ToolText]) -> None:
    index, question = many(tools, 300), read_question("Play a song")
    words = Selector(shipped_selector().words)
    heard = words.select(question, index, recall=0.9, at_most=9, meaning=encoded(tools, 300, 77))
    assert heard == words.select(question, index, recall=0.9, at_most=9)


def test_nearness_compares_with_the_nearest_tool() -> None:
    meaning = Meaning(np.array([1, 0], np.float32), np.array([[0.6, 0.8], [1, 0], [0, 1]], np.float32))
    assert nearness(meaning) == pytest.approx(np.array([[0.6, -0.4, 0.5], [1, 0, 1], [0, -1, 0]]))


def test_what_an_encoder_reads() -> None:
    assert line_of(ToolText("getWeather_byCity", "Forecast", {})) == "get Weather by City: Forecast"
    assert len(line_of(ToolText("a", "word " * 5_000, {}))) == 1_000
    assert asked_line("  \n") == ""


ONE = {"weights": dict.fromkeys(LIKENESS, 1), "margins": {"0.9": 1}, "floors": {"0.9": 0}}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"format": 2}',
        json.dumps({"format": 1, "weights": {"a": 1}, "margins": {}}),
        json.dumps({"format": 2, "heads": {"encoder": ONE}}),
        json.dumps({"format": 2, "heads": {"words": {**ONE, "weights": {"a": 1}}}}),
        json.dumps({"format": 2, "heads": {"words": {**ONE, "floors": {}}}}),
        json.dumps({"format": 2, "heads": {"words": ONE, "another": ONE}}),
    ],
)
def test_another_file_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "selector.json"
    path.write_text(content)
    with pytest.raises(ArtifactError):
        read_selector(path)


def test_the_artefact_has_a_weight_for_each_number() -> None:
    selector = read_selector(DEFAULT_PATH)
    assert selector.encoded is not None
    assert selector.words.weights.shape == (len(LIKENESS),)
    assert selector.encoded.weights.shape == (len(LIKENESS) + len(NEARNESS),)


def test_it_was_fitted_with_the_encoder_that_runs_by_default() -> None:
    assert shipped_selector().encoder == encoder_name(DEFAULT_ENCODER)


def heads() -> list[Head]:
    selector = shipped_selector()
    return [head for head in (selector.words, selector.encoded) if head is not None]
