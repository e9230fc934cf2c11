"""The coder's samples: one block of code that compiles."""

from __future__ import annotations

from pathlib import Path

from experts.evaluation.suites.fences import fenced_blocks
from experts.training.recipes import coder


def test_code_is_written_anew_and_broken_code_left_out(data: Path) -> None:
    made = [sample for sample in coder.samples(data, 0) if "def f" in sample.answer and "`f" in sample.answer]
    assert len(made) == 3
    for sample in made:
        [block] = fenced_blocks(sample.answer)
        assert "\n    return a" in block.code
        assert "\r" not in sample.answer
    assert any(sample.answer.endswith("Call `f0(a)` to give it back.") for sample in made)
