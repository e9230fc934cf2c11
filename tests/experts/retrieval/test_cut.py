"""Passages hold all of a text, in its order, short enough to be read whole, and say where they stand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from experts.retrieval.cut import WORDS, Part, cut, weight


def test_neighbours_of_one_title_stand_together_while_they_fit() -> None:
    parts = [
        Part("one two", line=3, title="A"),
        Part("three\nfour", line=5, title="A"),
        Part("five", line=9, title="B"),
    ]
    first, second = cut("f.md", parts)
    assert (first.text, first.place, first.title) == ("one two\n\nthree\nfour", "lines 3-6", "A")
    assert (second.text, second.place, second.words) == ("five", "line 9", "B\nfive")


def test_pages_and_rows_stay_apart() -> None:
    passages = cut("f.pdf", [Part("a", place="page 1"), Part("b", place="page 1"), Part("c", place="page 2")])
    assert [(passage.text, passage.place) for passage in passages] == [("a\n\nb", "page 1"), ("c", "page 2")]


def test_a_long_paragraph_is_cut_at_sentences() -> None:
    sentence = "Nine words are in this sentence, and no more. "
    passages = cut("f.txt", [Part(sentence * 30, line=1)])
    assert len(passages) > 1
    assert all(passage.text.endswith("more.") for passage in passages)


def test_equal_files_have_equal_ids_and_equal_texts_different_ones() -> None:
    long = Part("Same again here. " * 5)
    once, twice = cut("f", [long]), cut("f", [long])
    assert once == twice
    repeated = cut("f", [Part("x", place="page 1"), Part("x", place="page 2")])
    assert len({passage.id for passage in repeated}) == 2
    assert cut("g", [long])[0].id != once[0].id


def test_a_script_without_spaces_is_cut_too() -> None:
    passages = cut("f.txt", [Part("私は本を読みます。" * 200)])
    assert len(passages) > 5
    assert all(weight(passage.text) <= WORDS for passage in passages)
    assert "".join(passage.text for passage in passages) == "私は本を読みます。" * 200


@given(st.text(alphabet=st.sampled_from("ab .!?\n読。"), max_size=2000))
def test_no_word_is_lost_and_no_passage_is_too_long(text: str) -> None:
    passages = cut("f", [Part(text, line=1)])
    assert "".join("".join(passage.text.split()) for passage in passages) == "".join(text.split())
    assert all(weight(passage.text) <= WORDS for passage in passages)
