"""The researcher's samples: answers cite what holds them, and where nothing does, they say so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from experts.conversation.ranking import best
from experts.evaluation.suites.abstention_sentences import UNKNOWN
from experts.evaluation.suites.make_grounded_qa import article_order
from experts.evaluation.suites.qa_text import matches
from experts.evaluation.suites.rows import read_rows
from experts.training.recipes import researcher
from experts.training.recipes.passages import HELD_OUT, SOURCES, YES_NO, Question, read_questions
from experts.training.recipes.sample import Sample
from protos import chat_pb2
from tests.experts.training.recipes.data_files import place
from tests.experts.training.recipes.rows import asked

_MARK = re.compile(r"\[(\d+)\]")


@pytest.fixture(scope="module", params=range(3))
def made(data: Path, request: pytest.FixtureRequest) -> list[Sample]:
    """Samples of one seed."""
    return researcher.samples(data, request.param)


@pytest.fixture(scope="module")
def questions(data: Path) -> dict[str, Question]:
    """What the sources ask, by its text."""
    return {one.text: one for source in SOURCES for one in read_questions(data / "researcher", source)}


def cited(sample: Sample) -> list[chat_pb2.Document]:
    return [sample.conversation.documents[int(number) - 1] for number in _MARK.findall(sample.answer)]


def is_unknown(sample: Sample) -> bool:
    return sample.answer in map(researcher.unknown, UNKNOWN)


def words(sample: Sample) -> str:
    """What is said, without its sources and its full stop."""
    return sample.answer.rpartition("] ")[2].removesuffix(".")


def seen(sample: Sample) -> list[str]:
    """Texts of the documents that rendering shows."""
    documents = sample.conversation.documents
    return [documents[at].text for at in best(asked(sample), documents, researcher.SHOWN)]


def test_held_out_articles_are_not_learnt(made: list[Sample], data: Path) -> None:
    rows = read_rows(place(data, "researcher/xquad_en_de_es"))
    held_out = {f"Title {article}" for article in article_order(rows, 0)[:HELD_OUT]}
    shown = {document.title for sample in made for document in sample.conversation.documents}
    assert not held_out & shown
    assert len({title for title in shown if title.startswith("Title ")}) > 10


def test_every_answer_is_its_questions_and_cites_what_holds_it(
    made: list[Sample], questions: dict[str, Question]
) -> None:
    answered = [sample for sample in made if asked(sample) in questions and not is_unknown(sample)]
    assert len(answered) > 100
    for sample in answered:
        question = questions[asked(sample)]
        said = words(sample)
        assert said.lower() == question.answer.lower()
        assert cited(sample)
        assert {document.text for document in cited(sample)} <= {passage.text for passage in question.gold}
        if said.lower() not in YES_NO:
            assert any(matches(document.text, [said], question.language) for document in cited(sample))


def test_what_is_cited_is_what_rendering_shows(made: list[Sample], questions: dict[str, Question]) -> None:
    for sample in made:
        if asked(sample) in questions:
            assert {document.text for document in cited(sample)} <= set(seen(sample))


def test_who_says_that_nothing_is_there_is_right(made: list[Sample], questions: dict[str, Question]) -> None:
    unknown = [sample for sample in made if asked(sample) in questions and is_unknown(sample)]
    assert len(unknown) > 20
    for sample in unknown:
        question = questions[asked(sample)]
        assert sample.answer == researcher.unknown(question.language)
        assert sample.conversation.documents
        if question.answer in YES_NO:
            assert not {passage.text for passage in question.gold} <= set(seen(sample))
        elif question.answer:
            assert not any(matches(text, [question.answer], question.language) for text in seen(sample))


def test_answers_stand_at_every_place(made: list[Sample], questions: dict[str, Question]) -> None:
    places = [int(_MARK.findall(sample.answer)[0]) for sample in made if asked(sample) in questions and cited(sample)]
    assert all(places.count(number) > 10 for number in (1, 2, 3))
    assert max(places) > 3


def test_yes_and_no_rest_on_all_that_leads_to_them(made: list[Sample]) -> None:
    closed = [sample for sample in made if asked(sample).startswith("Is thing")]
    assert closed
    for sample in closed:
        assert sample.answer == researcher.unknown("en") or (words(sample) == "Yes" and len(cited(sample)) == 2)


def test_a_condition_that_nobody_can_tell_is_not_answered(made: list[Sample]) -> None:
    told = [sample for sample in made if asked(sample).startswith("May one") and asked(sample).endswith("at 2?")]
    assert told
    assert {sample.answer for sample in told} == {researcher.unknown("en")}


def test_groups_share_their_documents(made: list[Sample], questions: dict[str, Question]) -> None:
    shown = [
        str(sample.conversation.documents)
        for sample in made
        if asked(sample) in questions and len(sample.conversation.documents) <= researcher.SHOWN
    ]
    assert len(shown) > 2 * len(set(shown))


def test_questions_without_documents_are_short_and_answered_plainly(made: list[Sample]) -> None:
    plain = [sample for sample in made if asked(sample).startswith("Why is ")]
    assert {asked(sample) for sample in plain} == {f"Why is clay pot {n} red?" for n in range(20)}
    assert all(not sample.conversation.documents and not cited(sample) for sample in plain)
    assert all(sample.answer.strip() == sample.answer for sample in plain)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("Salt was sold there [2].", "[2] Salt was sold there."),
        (
            "It was founded by Oda [2], who was born in Kaldor [4].",
            "[2][4] It was founded by Oda, who was born in Kaldor.",
        ),
        (UNKNOWN["de"], researcher.unknown("de")),
    ],
)
def test_a_hand_written_answer_begins_with_its_sources(answer: str, told: str) -> None:
    document = chat_pb2.Document(text="Salt")
    asked_over = chat_pb2.Conversation(documents=[document] * 4)
    assert researcher.outcome_first(Sample(asked_over, answer)).answer == told
    assert researcher.outcome_first(Sample(chat_pb2.Conversation(), answer)).answer == answer
