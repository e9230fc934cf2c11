"""A request is cut into its parts, and what was said before counts as one more."""

import numpy as np

from router.tools.question import BEFORE_WEIGHT, HEAD_CHARS, MAX_PARTS, TAIL_CHARS, read_question
from router.tools.terms import stem


def test_a_request_for_several_things_has_parts() -> None:
    question = read_question("Find a flight to Rome, then tell Anna the price and lock the garage.")
    assert len(question.parts) == 3
    assert "flight" in question.parts[0]
    assert stem("garage") in question.parts[-1]
    assert question.vectors.shape[0] == 4


def test_short_clauses_join_the_one_before() -> None:
    assert len(read_question("Milk, eggs, bread, sugar, salt").parts) < 5


def test_there_are_never_too_many_parts() -> None:
    assert len(read_question(". ".join(f"open window number{n} upstairs" for n in range(40))).parts) <= MAX_PARTS


def test_what_was_said_before_counts_less() -> None:
    question = read_question("Yes, book it please.", "Which flight do you want?")
    assert question.weights.tolist() == [1.0, BEFORE_WEIGHT]
    assert "flight" in question.parts[1]


def test_a_long_turn_keeps_its_ends() -> None:
    question = read_question("weather " + "x" * (HEAD_CHARS + TAIL_CHARS) + " currency")
    terms = {term for part in question.parts for term in part}
    assert {stem("weather"), stem("currency")} <= terms


def test_kinds_of_values_are_seen() -> None:
    assert read_question("Pay 30 euros to anna@example.org tomorrow").kinds.tolist() == [1.0, 1.0, 1.0]
    assert read_question("Lock the door").kinds.tolist() == [0.0, 0.0, 0.0]


def test_nothing_said_is_a_question_all_the_same() -> None:
    question = read_question("")
    assert question.parts == [[]]
    assert not np.any(question.vectors)
