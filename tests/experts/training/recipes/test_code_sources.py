"""The coder's further files: programs that compile, in one style, behind requests that name what they are called."""

from __future__ import annotations

import ast
import random
from pathlib import Path

import pytest

from experts.evaluation.suites.fences import fenced_blocks
from experts.training.recipes.code_sources import answer_with, call_of, in_one_style, read_sources
from experts.training.recipes.sample import BadSample, Sample
from tests.experts.training.recipes.data_files import place, write
from tests.experts.training.recipes.rows import asked


@pytest.fixture(scope="module")
def made(data: Path) -> list[Sample]:
    return read_sources(data, random.Random(0))


def test_every_answer_is_one_block_that_compiles_and_a_sentence(made: list[Sample]) -> None:
    for sample in made:
        [block] = fenced_blocks(sample.answer)
        tree = ast.parse(block.code)
        assert not any(ast.get_docstring(node) for node in tree.body if isinstance(node, ast.FunctionDef))
        assert "__future__" not in sample.answer
        assert "\r" not in sample.answer
        assert sample.answer.rstrip().endswith(".")


def test_what_is_held_out_unsure_or_broken_is_left_out(made: list[Sample]) -> None:
    assert not any("decoy" in asked(sample) for sample in made)
    assert len(made) == 6 + 1 + 1 + 1


def test_an_algorithm_is_asked_for_with_clean_tests_or_its_signature(made: list[Sample]) -> None:
    ways = {"assert same" in asked(one) for one in made if "Return what same" in asked(one)}
    assert ways == {True, False}
    assert not any("#" in asked(one) for one in made if "assert same" in asked(one))


def test_a_puzzle_names_its_solution(made: list[Sample]) -> None:
    [puzzle] = [one for one in made if asked(one).startswith("Find a.")]
    assert "Write `sol(a)`" in asked(puzzle)
    assert "Sample Input" not in asked(puzzle)


def test_an_exercise_has_its_task_without_the_tale(made: list[Sample]) -> None:
    [exercise] = [one for one in made if "Give it back." in asked(one)]
    assert "A tale" not in asked(exercise)


def test_a_row_of_another_shape_is_named_by_its_file(tmp_path: Path) -> None:
    write(place(tmp_path, "coder/thealgorithms_python"), [{"path": "maths/a.py"}])
    with pytest.raises(BadSample, match="thealgorithms_python"):
        read_sources(tmp_path, random.Random(0))


@pytest.mark.parametrize(
    ("code", "printed"),
    [
        ('def f(a):\n\t"""Say."""\n\treturn a', "def f(a):\n    return a"),
        ('def f():\n    """Say."""', "def f():\n    pass"),
        ("def (", ""),
        ("x = 1\n" * 1_000, ""),
    ],
)
def test_one_style(code: str, printed: str) -> None:
    assert in_one_style(code) == printed


def test_how_a_function_is_called() -> None:
    code = "def f(a, b=1):\n    return a\n\ndef g():\n    return 2"
    assert call_of(code, "f") == "f(a, b)"
    assert call_of(code) == "g()"
    assert call_of(code, "h") == call_of("x = 1") == ""
    assert answer_with("x = 1", "It sets x.") == "```python\nx = 1\n```\n\nIt sets x."
