"""The `maths` suite: is the last number of the answer the right one?

Reads GSM8K's rows `{question, answer}`, whose answer ends with `#### NUMBER`, and rows whose answer is a number. What
counts is the last number that the reply states, as evaluations of GSM8K commonly take it (Cobbe et al. 2021 train a
calculator's mark-up, which no expert here writes).

Scores: `right`; `answered`, the share of replies that state a number at all.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

from experts.evaluation.suites.rows import Row, RowError
from experts.evaluation.suites.scores import Score, Verdict
from experts.evaluation.suites.suite import Case, Reply, asked, field

_NUMBER = re.compile(r"(?<![\w.])-?\d[\d,]*(?:\.\d+)?")


class MathsSuite:
    """Implements `experts.evaluation.suites.suite.Suite`."""

    def read(self, row: Row, index: int) -> Case:
        """Turn a row into a case; its answer must hold a number."""
        name = str(row.get("id", index))
        if last_number(str(row.get("answer", ""))) is None:
            raise RowError(f"{name}: 'answer' states no number")
        return Case(name, asked(field(row, "question", str, name)), row)

    def judge(self, case: Case, reply: Reply) -> Verdict:
        """Compare the last number of the reply with the row's."""
        said = last_number(reply.text)
        return {
            "right": said is not None and said == last_number(str(case.row["answer"])),
            "answered": said is not None,
        }

    def overall(self, cases: Sequence[Case], replies: Sequence[Reply], seed: int) -> dict[str, Score]:
        """Return nothing: every score is a mean of verdicts."""
        return {}


def last_number(text: str) -> Fraction | None:
    """Return the last number that a text states; "1,200" and "1200.0" are the same one. None where there is none."""
    found = _NUMBER.findall(text)
    return Fraction(found[-1].replace(",", "")) if found else None
