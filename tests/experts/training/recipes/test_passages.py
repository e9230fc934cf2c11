"""Sources in one shape: what is asked, what answers it, and what is left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from experts.evaluation.suites.make_grounded_qa import article_order
from experts.evaluation.suites.qa_text import matches
from experts.evaluation.suites.rows import read_rows
from experts.training.recipes.passages import HELD_OUT, LONGEST, SOURCES, YES_NO, Question, read_questions
from experts.training.recipes.sample import BadSample
from tests.experts.training.recipes.data_files import place, write


def read(data: Path, source: str) -> list[Question]:
    return read_questions(data / "researcher", source)


@pytest.mark.parametrize("source", SOURCES)
def test_every_answer_stands_in_a_passage_that_is_short_enough(source: str, data: Path) -> None:
    found = read(data, source)
    assert found
    for question in found:
        texts = [passage.text for passage in question.gold]
        is_closed = question.answer in YES_NO or not question.answer
        assert is_closed or any(matches(text, [question.answer], question.language) for text in texts)
        assert max(map(len, texts)) <= LONGEST


@pytest.mark.parametrize("source", SOURCES)
def test_passages_beside_the_right_ones_are_others(source: str, data: Path) -> None:
    for question in read(data, source):
        assert not set(question.gold) & set(question.others)


@pytest.mark.parametrize("source", SOURCES)
def test_a_row_of_another_shape_names_its_source_and_not_its_text(source: str, tmp_path: Path, data: Path) -> None:
    row = {"lang": source[-2:], "context": "secret", "answers": ["yes"]}
    for file in (data / "researcher").glob("*.jsonl.gz"):
        write(tmp_path / file.name, [{**row, "article": n} for n in range(20)])
    with pytest.raises(BadSample, match=source) as caught:
        read_questions(tmp_path, source)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("language", ["en", "de", "es"])
def test_a_dozen_articles_are_held_out_of_every_language(language: str, data: Path) -> None:
    rows = read_rows(place(data, "researcher/xquad_en_de_es"))
    held_out = set(article_order(rows, 0)[:HELD_OUT])
    learnt = {question.gold[0].article for question in read(data, f"xquad_{language}")}
    assert len(held_out) == HELD_OUT
    assert learnt == {str(article) for article in range(30)} - held_out
    assert {question.language for question in read(data, f"xquad_{language}")} == {language}


def test_the_fullest_answer_is_learnt_and_none_where_there_is_none(data: Path) -> None:
    found = {question.text: question.answer for question in read(data, "squadshifts_new_wiki")}
    assert found["Which colour has wiki 1?"] == "has wikicolour1q"  # another annotator left "has" out
    assert "Who made wiki?" not in found
    assert "How long is wiki?" not in found


def test_only_titles_that_name_an_article_are_shown(data: Path) -> None:
    assert {question.gold[0].title for question in read(data, "squadshifts_reddit")} == {""}
    assert "Wiki article 0" in {question.gold[0].title for question in read(data, "squadshifts_new_wiki")}


def test_parts_of_one_article_become_one_passage(data: Path) -> None:
    first = read(data, "beerqa")[0]
    assert {passage.title: passage.text for passage in first.gold}["Thing 0"] == "It is bcolour0q. It is old."
    assert not any("nothing" in question.text for question in read(data, "beerqa"))


def test_two_hops_need_both_passages_and_bring_their_distractors(data: Path) -> None:
    first = read(data, "hotpotqa")[0]
    assert {passage.title for passage in first.gold} == {"Song 0", "Maker 0"}
    assert {passage.title for passage in first.others} == {f"Other {n}" for n in range(8)}
    assert not any(question.text == "Who knows?" for question in read(data, "hotpotqa"))


def test_what_nobody_knows_has_no_answer_and_what_is_unclear_is_left_out(data: Path) -> None:
    assert [question.answer for question in read(data, "condaqa")][:6] == ["yes", "no", "", "yes", "no", ""]
    assert {question.answer for question in read(data, "pubmedqa")} == {"yes", "no"}
