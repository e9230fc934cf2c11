"""Questions for what a call lacks."""

from __future__ import annotations

import pytest

from experts.conversation.missing.question import ASKING, Parameter, asked_in, question

ORIGIN, DESTINATION = Parameter("origin", "City to leave from, e.g. Paris"), Parameter("destination", "")


@pytest.mark.parametrize(
    ("parameters", "asked"),
    [
        ([DESTINATION], "the destination."),
        ([ORIGIN], "the origin (City to leave from)."),
        ([DESTINATION, DESTINATION], "the destination."),
        (
            [Parameter("departureDate", "The departure date, as YYYY-MM-DD"), Parameter("q", "Words\nto search")],
            "the departure date (The departure date, as YYYY-MM-DD) and the q (Words to search).",
        ),
        ([Parameter(name, "") for name in ("a", "b_c", "d2")], "the a, the b c and the d 2."),
        ([Parameter("city", "City")], "the city."),
        ([Parameter("x", "long " * 40)], "the x."),
        ([Parameter("___", "")], "the ___."),
        ([Parameter("città", "")], "the citt à."),
        ([Parameter("都市", "")], "the 都市."),
    ],
)
def test_questions_are_words(parameters: list[Parameter], asked: str) -> None:
    assert question(parameters) == f"{ASKING} Please tell me {asked}"


def test_a_question_is_found_again() -> None:
    asked = asked_in(f"Gladly. {question([ORIGIN, DESTINATION])}")
    assert all(f"{one.label} " in asked for one in (ORIGIN, DESTINATION))
    assert asked_in("Please tell me the origin.") == ""
