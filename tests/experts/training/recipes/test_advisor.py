"""The advisor's samples: pairs whose chosen answer is a good one."""

from __future__ import annotations

from pathlib import Path

from experts.training.recipes import advisor
from tests.experts.training.recipes.rows import asked


def test_pairs_differ_and_only_good_answers_are_chosen(data: Path) -> None:
    made = [sample for sample in advisor.samples(data, 0) if asked(sample).startswith("Give me three tips")]
    assert len(made) == 16
    assert all(sample.rejected and sample.rejected != sample.answer for sample in made)
    assert not any(sample.answer == "Short." for sample in advisor.samples(data, 0))
