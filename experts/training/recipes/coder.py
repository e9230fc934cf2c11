"""What the coder learns from: MBPP's training tasks and hand-written seeds; one fenced block, then one sentence.

MBPP's code has many styles (tabs, carriage returns, extra spaces). Each answer is parsed and printed again, so that the
coder learns one style. A task is asked with its tests, with its signature, or with neither, since people ask in all
three ways.
"""

from __future__ import annotations

import ast
import random
import re
from pathlib import Path
from typing import Any, Final

from experts.evaluation.suites.coding import task_request
from experts.evaluation.suites.rows import read_rows
from experts.training.recipes.checks import is_python
from experts.training.recipes.sample import Sample, ask, one_shape
from experts.training.recipes.seed_files import read_seeds

_TASK: Final = re.compile(
    r"^write a (?:python )?function (?:that (?:can )?|which |to )(.+?)[.\s]*$", re.IGNORECASE | re.DOTALL
)
_SEED_REPEATS: Final = 2
_WAYS: Final = ("tests", "tests", "tests", "signature", "bare")


def samples(data: Path | None, seed: int) -> list[Sample]:
    """Build every sample; without `data`, out of the seeds alone.

    Raises:
        RowError: a data file cannot be read.
        BadSample: a row has another shape.
    """
    rng = random.Random(f"coder {seed}")
    made = read_seeds("coder") * _SEED_REPEATS
    if data is not None:
        rows = read_rows(data / "coder" / "mbpp_train.jsonl.gz")
        with one_shape("mbpp_train"):
            made += [_sample(row, rng.choice(_WAYS)) for row in rows if _entry(row) is not None]
    return made


def _entry(row: Any) -> ast.FunctionDef | None:  # JSON
    """Find the function that the tests call; None where the answer does not parse or does not hold it."""
    if not is_python(row["answer"]):
        return None
    functions = {node.name: node for node in ast.parse(row["answer"]).body if isinstance(node, ast.FunctionDef)}
    return next((node for name, node in functions.items() if f"{name}(" in row["tests"][0]), None)


def _sample(row: Any, way: str) -> Sample:  # JSON
    entry = _entry(row)
    assert entry is not None
    signature = f"{entry.name}({ast.unparse(entry.args)})"
    task = row["messages"][-1]["content"].strip()
    if way == "tests":
        task = task_request(task, row["tests"])
    elif way == "signature":
        task += f"\n\ndef {signature}:"
    code = ast.unparse(ast.parse(row["answer"]))
    return Sample(ask(task), f"```python\n{code}\n```\n\n{_remark(row, signature)}")


def _remark(row: Any, signature: str) -> str:  # JSON
    found = _TASK.match(row["messages"][-1]["content"].strip())
    return f"Call `{signature}` to {' '.join(found[1].split())}." if found else f"Call `{signature}` to get the result."
