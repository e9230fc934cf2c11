"""Small rows of the shapes that the coder's sources have; what must not be learnt from has "decoy" in its request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Rows = list[dict[str, Any]]


def algorithms() -> Rows:
    def row(folder: str, name: str, **other: Any) -> dict[str, Any]:
        code = (
            f'from __future__ import annotations\r\n\r\ndef {name}(n: int) -> int:\r\n    """Say it."""\r\n    return n'
        )
        made = {
            "path": f"{folder}/{name}.py",
            "function": name,
            "signature": f"def {name}(n: int) -> int:",
            "description": f"Return what {name} is given.\n\nArgs: n",
            "answer": code,
            "tests": [f"assert {name}(1) == 1", f"assert {name}(2)  # two == 2"],
            "verified": True,
        }
        return made | other

    return [
        *(row("maths", f"same{n}") for n in range(6)),
        row("strings", "held", description="decoy: of a folder to judge on"),
        row("maths", "unsure", description="decoy: not verified", verified=False),
        row("maths", "broken", description="decoy: does not compile", answer="def broken(:"),
        row("maths", "other", description="decoy: another function", answer="def another(n):\n    return n"),
        row("maths", "mute", description=""),
    ]


def puzzles() -> Rows:
    def row(name: str, **other: Any) -> dict[str, Any]:
        made = {
            "id": name,
            "sat": "def sat(x: int, a=3):\n    return x == a",
            "sol_header": "def sol(a=3):",
            "description": "Find a.\n\nSample Input:\n3",
            "solutions": ["    return a"],
            "verified": True,
        }
        return made | other

    return [
        row("Find:0"),
        row("Find:1", description="decoy: of a family that is there"),
        row("Unsolved:0", description="decoy: no solution", solutions=[]),
    ]


def exercises() -> Rows:
    def row(**other: Any) -> dict[str, Any]:
        made = {
            "instruction": "# Introduction\n\nA tale.\n\n# Instructions\n\nGive it back.",
            "stub": {"give.py": "def give(it):\n    pass\n"},
            "answer": "def give(it):\n    return it",
        }
        return made | other

    return [
        row(),
        row(instruction="# Instructions\n\ndecoy: two files", stub={"a.py": "", "b.py": ""}),
        row(instruction="# Instructions\n\ndecoy: " + "long " * 400),
    ]


def requests() -> Rows:
    code = "def twice(n):\n    return 2 * n\n\nprint(twice(4))"
    return [
        {"instruction": "Double a number in Python.", "input": "4", "response": code},
        {"instruction": "decoy: double it in Java.", "input": "", "response": code},
        {"instruction": "decoy: a Python script without a function", "input": "", "response": "print(1)"},
    ]


FILES: dict[str, Callable[[], Rows]] = {
    "thealgorithms_python": algorithms,
    "p3_puzzles_puzzles": puzzles,
    "exercism_python": exercises,
    "gpteacher_codegen_codegen": requests,
}
"""The files beside MBPP that the coder learns from."""
