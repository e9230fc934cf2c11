"""The made-up company's reports: people apart, a rule that holds, and the same ones each time."""

from __future__ import annotations

import re

from loadtests.company import reports, share_right


def test_people_elsewhere_are_others_and_speak_otherwise() -> None:
    here, there = reports(16, 20, seed=1), reports(8, 20, seed=2, elsewhere=True)
    assert not {one.user for one in here} & {one.user for one in there}

    def way(words: str) -> str:
        """Its words without what is reported."""
        return re.sub(r"(flat|house|unit|room|floor) \d+", "", words).split()[0]

    assert not {way(one.words) for one in here} & {way(one.words) for one in there} - {"Report", "The"}


def test_what_is_to_be_answered_follows_from_what_is_said() -> None:
    for one in reports(16, 20, seed=1):
        form = re.fullmatch(r"TICKET (P[1-4]) \| TEAM ([A-Z]+) \| WHERE (.+) \| WHAT (.+)", one.correction)
        assert form is not None
        assert form[3] in one.words
    assert reports(4, 4, seed=1) == reports(4, 4, seed=1) != reports(4, 4, seed=3)


def test_right_is_to_the_letter() -> None:
    made = reports(2, 2, seed=1)
    answers = [one.correction for one in made]
    assert share_right(answers, made) == 1.0
    assert share_right([answers[0].replace(" ", "  "), "", *answers[2:]], made) == 0.75
