"""The question suite: words, citations, abstention, each on crafted answers."""

from typing import Any

import pytest

from experts.evaluation.suites.abstention import abstains
from experts.evaluation.suites.abstention_sentences import UNKNOWN
from experts.evaluation.suites.grounded_qa import GroundedQASuite
from experts.evaluation.suites.rows import RowError
from experts.evaluation.suites.sentences import cited_numbers, split_sentences
from experts.evaluation.suites.suite import Reply

ROW: dict[str, Any] = {
    "question": "Who built it?",
    "answers": ["Gustave Eiffel"],
    "passages": ["The tower.", {"title": "Eiffel", "text": "Gustave Eiffel built it."}, {"text": "Paris."}],
    "gold": 2,
    "answerable": True,
}
UNANSWERABLE: dict[str, Any] = ROW | {"gold": None, "answerable": False}


def judge(row: dict[str, Any], answer: str) -> dict[str, float]:
    suite = GroundedQASuite()
    return {name: float(value) for name, value in suite.judge(suite.read(row, 0), Reply(answer)).items()}


def test_a_row_becomes_a_question_over_documents() -> None:
    case = GroundedQASuite().read(ROW, 7)
    assert case.name == "7"
    assert [message.content for message in case.conversation.messages] == ["Who built it?"]
    assert [document.title for document in case.conversation.documents] == ["", "Eiffel", ""]


@pytest.mark.parametrize("gold", [0, 4, "2", True, 1.0])
def test_a_gold_that_is_no_passage_is_refused(gold: object) -> None:
    with pytest.raises(RowError, match="gold"):
        GroundedQASuite().read(ROW | {"gold": gold}, 0)


def test_an_answer_with_its_source_is_right_in_everything() -> None:
    found = judge(ROW, "Gustave Eiffel built it [2].")
    perfect = ("match", "match_words", "answered", "citation_validity", "citation_precision", "citation_recall")
    assert all(found[name] == 1 for name in perfect)
    assert found["em"] == 0
    assert found["f1"] == pytest.approx(2 / 3)
    assert found["false_answers"] == 0
    assert "abstention" not in found


def test_marks_are_no_part_of_the_words() -> None:
    row = ROW | {"answers": ["2"]}
    assert judge(row, "Gustave built it [2].")["match"] == 0
    assert judge(row, "2 [2]")["em"] == 1


def test_a_number_out_of_range_or_none_at_all_is_not_valid() -> None:
    out_of_range = judge(ROW, "Gustave Eiffel built it [4].")
    assert (out_of_range["citation_validity"], out_of_range["citation_in_range"]) == (0, 0)
    assert (out_of_range["citation_precision"], out_of_range["citation_recall"]) == (0, 0)
    missing = judge(ROW, "Gustave Eiffel built it.")
    assert (missing["citation_validity"], missing["citation_in_range"]) == (0, 1)
    assert (missing["citation_precision"], missing["citation_recall"]) == (0, 0)
    assert judge(ROW, "Gustave Eiffel built it [0].")["citation_validity"] == 0


def test_citing_everything_is_not_precise_and_citing_once_does_not_cover_two_sentences() -> None:
    assert judge(ROW, "Gustave Eiffel built it [1][2][3].")["citation_precision"] == pytest.approx(1 / 3)
    assert judge(ROW, "Gustave Eiffel built it [1, 2].")["citation_precision"] == 0.5
    two = judge(ROW, "Gustave Eiffel built it. [2] He lived in Paris for years.")
    assert (two["citation_precision"], two["citation_recall"]) == (1.0, 0.5)
    assert judge(ROW, "Gustave Eiffel built it [2][2].")["citation_precision"] == 1.0


def test_an_abstention_is_wrong_where_there_is_an_answer_whatever_words_it_shares() -> None:
    """ "no" is a substring of "know": the reference's match would count this."""
    found = judge(ROW | {"answers": ["no"]}, "I don't know: the documents do not say.")
    assert (found["match"], found["answered"], found["false_answers"]) == (0, 0, 0)
    assert "citation_validity" not in found


def test_unanswerable_rows() -> None:
    assert judge(UNANSWERABLE, "I don't know: the documents do not say.")["abstention"] == 1
    invented = judge(UNANSWERABLE, "Gustave Eiffel built it [2].")
    assert (invented["abstention"], invented["false_answers"]) == (0, 1)
    assert "match" not in invented
    assert "citation_precision" not in invented
    silent = judge(UNANSWERABLE, "")
    assert (silent["abstention"], silent["false_answers"]) == (0, 0)


@pytest.mark.parametrize(
    "answer",
    [
        "I don't know: the documents do not say.",
        "I don’t know.",
        "Ich weiß es nicht: Die Dokumente sagen dazu nichts.",
        "No lo sé: los documentos no lo dicen.",
        "Sorry, I cannot find this in the text.",
        "The documents do not mention who built it.",
        "The provided documents don't contain that.",
        "None of the passages says so.",
        "Je ne sais pas.",
    ],
)
def test_abstentions(answer: str) -> None:
    assert abstains(answer)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "Gustave Eiffel.",
        "I don't know, but I think it was Eiffel.",
        "I don't know [2].",
        "Ich weiß es nicht, aber vermutlich Eiffel.",
        "Gustave Eiffel built it. The documents do not say when.",
        "He did not know the answer.",
        "Everybody knows it was Eiffel.",
    ],
)
def test_answers_that_are_no_abstention(answer: str) -> None:
    assert not abstains(answer)


@pytest.mark.parametrize("language", sorted(UNKNOWN))
def test_every_form_that_is_taught_is_recognised(language: str) -> None:
    assert abstains(UNKNOWN[language])
    assert not abstains(f"{UNKNOWN[language]} [1]")


def test_sentences_keep_the_marks_behind_their_full_stop() -> None:
    found = split_sentences("Dr. Smith came in 1990 [1]. He left in 1.5 hours. [2][3]\nThe end came soon")
    assert [sentence.cited for sentence in found] == [(1,), (2, 3), ()]
    assert found[0].text == "Dr. Smith came in 1990."
    assert cited_numbers("[1, 2] a[3] [2024] [x]") == (1, 2, 3)
