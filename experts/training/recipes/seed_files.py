"""The hand-written seeds that ship with the recipes: `seeds/EXPERT.jsonl`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from experts.evaluation.suites.rows import read_rows
from experts.training.recipes.sample import Sample, read_seed

_FOLDER: Final = Path(__file__).parent / "seeds"


def read_seeds(expert: str) -> list[Sample]:
    """Read an expert's seeds.

    Raises:
        RowError: the file cannot be read.
        BadSample: a row has another shape.
    """
    return [read_seed(row) for row in read_rows(_FOLDER / f"{expert}.jsonl")]
