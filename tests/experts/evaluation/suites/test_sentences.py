"""Sentences and what each of them cites."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experts.evaluation.suites.sentences import Sentence, cited_numbers, split_sentences, without_marks


@pytest.mark.parametrize(
    ("answer", "sentences"),
    [
        ("It rained all day [1]. Nobody went out [2].", [("It rained all day.", (1,)), ("Nobody went out.", (2,))]),
        ("It rained all day. [1] Nobody went out.", [("It rained all day.", (1,)), ("Nobody went out.", ())]),
        ("It rained all day.[1][2]\nNobody went out", [("It rained all day.", (1, 2)), ("Nobody went out", ())]),
        ("It rained [1, 3] in Bern.", [("It rained in Bern.", (1, 3))]),
        ("Dr. No lived in Bern. He was ill.", [("Dr. No lived in Bern.", ()), ("He was ill.", ())]),
        ("Paris [2].", [("Paris.", (2,))]),
        ("Paris.", [("Paris.", ())]),
        ('He said "it is late." Then he left us.', [('He said "it is late."', ()), ("Then he left us.", ())]),
        ("It costs 3.50 a day. That is much!", [("It costs 3.50 a day.", ()), ("That is much!", ())]),
        ("今日は 雨が 降った。[1]", [("今日は 雨が 降った。", (1,))]),
        ("One line of it\nAnother line of it", [("One line of it", ()), ("Another line of it", ())]),
        ("", []),
        ("  \n ", []),
    ],
)
def test_sentences(answer: str, sentences: list[tuple[str, tuple[int, ...]]]) -> None:
    assert split_sentences(answer) == [Sentence(text, cited) for text, cited in sentences]


PIECES = st.lists(st.sampled_from(["It", "rained", "today.", "Dr.", "why?", "[1]", "[2, 13]", "\n", "3.5", "end!"]))


@given(PIECES)
def test_no_word_and_no_citation_is_lost(pieces: list[str]) -> None:
    answer = " ".join(pieces)
    sentences = split_sentences(answer)
    words = [word for word in pieces if not word.startswith("[") and word.strip()]
    assert [word for one in sentences for word in one.text.split()] == words
    assert tuple(number for one in sentences for number in one.cited) == cited_numbers(answer)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("[1] and [2, 3][4]", (1, 2, 3, 4)),
        ("[ 1 ]", ()),
        ("[1,2 , 3]", (1, 2, 3)),
        ("in [2024], [a], [], [1", ()),
        ("[999]", (999,)),
    ],
)
def test_marks(text: str, numbers: tuple[int, ...]) -> None:
    assert cited_numbers(text) == numbers


def test_what_is_no_mark_stays() -> None:
    assert without_marks("In [2024] it rained [1], a lot [2, 3].") == "In [2024] it rained, a lot."
