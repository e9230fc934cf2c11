"""The researcher's samples: answers cite what holds them, and held-out articles are not learnt."""

from __future__ import annotations

from pathlib import Path

from experts.evaluation.suites.abstention_sentences import UNKNOWN
from experts.evaluation.suites.make_grounded_qa import article_order
from experts.evaluation.suites.rows import read_rows
from experts.training.recipes import researcher
from tests.experts.training.recipes.rows import asked


def test_held_out_articles_are_not_learnt(data: Path) -> None:
    rows = read_rows(data / "researcher" / "xquad_en_de_es.jsonl.gz")
    held_out = {f"Title {article}" for article in article_order(rows, 0)[: researcher.HELD_OUT]}
    shown = {document.title for sample in researcher.samples(data, 0) for document in sample.conversation.documents}
    assert len(held_out) == researcher.HELD_OUT
    assert not held_out & shown
    assert {f"Title {article}" for article in range(30)} - held_out <= shown


def test_answers_cite_the_documents_that_hold_them(data: Path) -> None:
    made = [sample for sample in researcher.samples(data, 0) if asked(sample).startswith("Which number")]
    answered = [sample for sample in made if sample.answer not in UNKNOWN.values()]
    assert 0 < len(answered) < len(made)
    for sample in answered:
        answer, _, mark = sample.answer.rstrip(".]").rpartition(" [")
        assert answer in sample.conversation.documents[int(mark) - 1].text
    for sample in made:
        if sample not in answered:
            number = asked(sample).rstrip("?").rsplit(" ", 1)[1]
            texts = [document.text for document in sample.conversation.documents]
            assert texts
            assert not any(f"article {number} in" in text for text in texts)


def test_every_document_of_several_is_cited(data: Path) -> None:
    made = [sample for sample in researcher.samples(data, 0) if asked(sample) == "Which colour has 0?"]
    assert made
    assert all(s.answer == UNKNOWN["en"] or (s.answer.startswith("Yes [") and s.answer.count("[") == 2) for s in made)
