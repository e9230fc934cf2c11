"""The maths suite: the last number counts."""

from fractions import Fraction

import pytest

from experts.evaluation.suites.maths import MathsSuite, last_number
from experts.evaluation.suites.rows import RowError
from experts.evaluation.suites.suite import Reply

ROW = {"question": "What is 17 + 25?", "answer": "17 + 25 = <<17+25=42>>42\n#### 42"}


@pytest.mark.parametrize(
    ("text", "number"),
    [("It is 1,200.50.", Fraction(2401, 2)), ("from 3 to -4", -4), ("$18", 18), ("none", None), ("x86 v2", None)],
)
def test_the_last_number(text: str, number: object) -> None:
    assert last_number(text) == number


@pytest.mark.parametrize(
    ("said", "right"), [("So it is 42.", True), ("42.0", True), ("42, no, 43", False), ("?", False)]
)
def test_right_is_what_the_last_number_says(said: str, right: bool) -> None:
    suite = MathsSuite()
    assert suite.judge(suite.read(ROW, 0), Reply(said))["right"] is right


def test_a_row_without_a_number_is_refused() -> None:
    with pytest.raises(RowError, match="states no number"):
        MathsSuite().read({"question": "Why?", "answer": "Because."}, 0)
