"""The coder's data files beside MBPP: one reader each, from rows to samples in the coder's own form.

Every program must compile, is printed anew in one style without docstrings, and follows a request that names what it is
called; a row whose tests are broken (a comment inside an assertion) is asked without them.
"""

from __future__ import annotations

import ast
import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from experts.evaluation.suites.coding import task_request
from experts.evaluation.suites.rows import read_rows
from experts.training.recipes.checks import is_python
from experts.training.recipes.sample import Sample, ask, one_shape

HELD_OUT_FOLDERS: Final = frozenset(
    {"strings", "conversions", "bit_manipulation", "boolean_algebra", "searches", "project_euler"}
)
"""Folders of TheAlgorithms that nothing is learnt from, to judge on."""

_LONGEST_PROGRAM: Final = 1_600  # characters
_LONGEST_TASK: Final = 1_500
_MOST_TESTS: Final = 4


def read_sources(data: Path, rng: random.Random) -> list[Sample]:
    """Read every file.

    Raises:
        RowError: a data file cannot be read.
        BadSample: a row has another shape.
    """
    made: list[Sample] = []
    for name, reader in _READERS.items():
        rows = read_rows(data / "coder" / f"{name}.jsonl.gz")
        with one_shape(name):
            made += reader(rows, rng)
    return made


def answer_with(code: str, remark: str) -> str:
    """Write an answer: one fenced block, then what is said of it."""
    return f"```python\n{code}\n```\n\n{remark}"


def in_one_style(code: str) -> str:
    """Print a program anew, without docstrings; empty where it does not compile or is too long."""
    if not is_python(code):
        return ""
    tree = ast.parse(code)
    tree.body = [node for node in tree.body if not (isinstance(node, ast.ImportFrom) and node.module == "__future__")]
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module) and ast.get_docstring(node, clean=False):
            node.body = node.body[1:] or [ast.Pass()]
    printed = ast.unparse(tree)
    return printed if len(printed) <= _LONGEST_PROGRAM else ""


def call_of(code: str, name: str = "") -> str:
    """Write how a program's function is called, `f(a, b)`; the last one without `name`; empty where there is none."""
    functions = [node for node in ast.parse(code).body if isinstance(node, ast.FunctionDef)]
    chosen = [node for node in functions if node.name == name] if name else functions
    if not chosen:
        return ""
    return f"{chosen[-1].name}({', '.join(argument.arg for argument in chosen[-1].args.args)})"


def _algorithms(rows: list[Any], rng: random.Random) -> Iterator[Sample]:  # JSON
    for row in rows:
        code = in_one_style(row["answer"].replace("\r\n", "\n"))
        called = call_of(code, row["function"]) if code else ""
        if not row["verified"] or row["path"].split("/")[0] in HELD_OUT_FOLDERS or not called:
            continue
        task = " ".join(row["description"].split("\n\n")[0].split())
        if not task:
            continue
        tests = [test for test in row["tests"] if "#" not in test][:_MOST_TESTS]
        way = rng.choice(("tests", "tests", "signature"))
        asked = task_request(task, tests) if way == "tests" and tests else f"{task}\n\n{row['signature']}"
        yield Sample(ask(asked), answer_with(code, f"Call `{called}` to get the result."))


def _puzzles(rows: list[Any], _rng: random.Random) -> Iterator[Sample]:  # JSON
    seen: set[str] = set()
    for row in rows:
        family = row["id"].split(":")[0]
        if family in seen or not row["verified"] or not row["solutions"]:
            continue
        code = in_one_style(f"{row['sol_header']}\n{row['solutions'][0]}")
        if not code or len(row["sat"]) > _LONGEST_TASK:
            continue
        seen.add(family)
        task = row["description"].split("\n\n")[0].strip() or "Solve this puzzle."
        asked = (
            f"{task}\n\n```python\n{row['sat']}\n```\n\nWrite `{call_of(code)}` so that `sat` accepts what it returns."
        )
        yield Sample(ask(asked), answer_with(code, "`sat` returns True for what it returns."))


def _exercises(rows: list[Any], rng: random.Random) -> Iterator[Sample]:  # JSON
    for row in rows:
        files = list(row["answer"].values()) if isinstance(row["answer"], Mapping) else [row["answer"]]
        stubs = list(row["stub"].values())
        task = row["instruction"].split("# Instructions")[-1].strip()
        if len(files) != 1 or len(stubs) != 1 or len(task) > _LONGEST_TASK:
            continue
        code = in_one_style(files[0])
        if code:
            stub = f"\n\n```python\n{stubs[0].strip()}\n```" if rng.random() < 0.8 else ""
            yield Sample(ask(f"{task}{stub}"), answer_with(code, "It does what the task asks for, case by case."))


def _requests(rows: list[Any], _rng: random.Random) -> Iterator[Sample]:  # JSON
    for row in rows:
        if "python" not in row["instruction"].lower():
            continue
        code = in_one_style(row["response"])
        called = call_of(code) if code else ""
        if called:
            given = row["input"].strip()
            asked = f"{row['instruction'].strip()}\n\n{given}" if given else row["instruction"].strip()
            yield Sample(ask(asked), answer_with(code, f"Call `{called}` with your own values."))


_READERS: Final[Mapping[str, Callable[[list[Any], random.Random], Iterator[Sample]]]] = {
    "thealgorithms_python": _algorithms,
    "p3_puzzles_puzzles": _puzzles,
    "exercism_python": _exercises,
    "gpteacher_codegen_codegen": _requests,
}
