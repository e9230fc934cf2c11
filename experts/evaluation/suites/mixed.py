"""The `mixed` suite: rows of all the others, each judged by its own rule into right or wrong.

A row is that of another suite with two fields more: `suite`, which one, and `kind`, what it counts under (default: the
suite). Scores: `quality`, the mean of what is right over all rows, and the same for each kind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from experts.evaluation.suites.rows import Row, RowError
from experts.evaluation.suites.scores import Score, Verdict
from experts.evaluation.suites.suite import Case, Reply, Suite, field

QUALITY = "quality"


class MixedSuite:
    """Implements `experts.evaluation.suites.suite.Suite`."""

    def __init__(self, suites: Mapping[str, Suite], right: Mapping[str, Sequence[str]]) -> None:
        """`right`: for each suite the measures, the first of which that a verdict has says whether it is right."""
        self._suites = suites
        self._right = right

    def read(self, row: Row, index: int) -> Case:
        """Turn a row into a case by the suite that it names; its name has the kind before it."""
        name = field(row, "suite", str, str(row.get("id", index)))
        if name not in self._suites:
            raise RowError(f"{row.get('id', index)}: 'suite' is none of {', '.join(sorted(self._suites))}")
        case = self._suites[name].read(row, index)
        return replace(case, name=f"{kind_of(row)} {case.name}")

    def judge(self, case: Case, reply: Reply) -> Verdict:
        """Judge an answer by its row's own suite."""
        name = case.row["suite"]
        verdict = self._suites[name].judge(case, reply)
        right = float(next(verdict[measure] for measure in self._right[name] if measure in verdict))
        return {QUALITY: right, kind_of(case.row): right}

    def overall(self, cases: Sequence[Case], replies: Sequence[Reply], seed: int) -> dict[str, Score]:
        """Return nothing: every score is a mean of verdicts."""
        return {}


def kind_of(row: Row) -> str:
    """Name what a row counts under."""
    return str(row.get("kind") or row["suite"])
