"""The confined process by itself: what it reports, what holds it, and that each layer holds alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from experts.evaluation.suites import sandbox_child
from experts.evaluation.suites.sandbox_child import run

LIMITS = {"cpu_s": 5, "memory_bytes": 1 << 30, "file_bytes": 1 << 20}


def reports(folder: Path, program: str, tests: str = "assert f() == 1") -> list[dict[str, Any]]:
    """Run the process as the sandbox does; return the lines that it reports."""
    job = {"program": program, "tests": tests, "token": "t0ken", "limits": LIMITS}
    command = [sys.executable, "-I", "-S", sandbox_child.__file__]
    done = subprocess.run(
        command, input=json.dumps(job) + "\n", cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_report_names_the_guards_and_bears_the_token(tmp_path: Path) -> None:
    guards, outcome = reports(tmp_path, "def f(): return 1")
    assert {"limits", "audit"} <= set(guards["guards"])
    assert outcome == {"token": "t0ken", "error": ""}


def test_what_a_program_prints_goes_nowhere(tmp_path: Path) -> None:
    program = (
        "import sys\nprint('out')\nprint('err', file=sys.stderr)\ndef f(): return 1 if sys.stdin.read() == '' else 2"
    )
    assert reports(tmp_path, program)[1:] == [{"token": "t0ken", "error": ""}]


def test_the_report_is_out_of_the_programs_reach(tmp_path: Path) -> None:
    """It may rebind whatever it can import."""
    program = """
import json, os, sys
json.dumps = os.write = os._exit = lambda *a, **k: None
sys.modules["__main__"].run = lambda *a: ""
def f(): return 2
"""
    assert reports(tmp_path, program)[1:] == [{"token": "t0ken", "error": "AssertionError"}]


@pytest.mark.parametrize(
    ("name", "most"), [("CPU", 5), ("AS", 1 << 30), ("FSIZE", 1 << 20), ("NPROC", 0), ("CORE", 0), ("NOFILE", 32)]
)
def test_limits_are_in_force(tmp_path: Path, name: str, most: int) -> None:
    program = f"import resource\ndef f(): return int(max(resource.getrlimit(resource.RLIMIT_{name})) <= {most})"
    assert reports(tmp_path, program)[1]["error"] == ""


def test_the_working_folder_is_the_programs_own(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    program = """
import os
def f():
    os.mkdir("folder")
    with open("folder/file", "w") as file:
        file.write("x")
    try:
        open("../file", "w")
    except PermissionError:
        return 1
"""
    assert reports(tmp_path / "inside", program)[1]["error"] == ""
    assert {path.name for path in tmp_path.rglob("*")} == {"inside", "folder", "file"}


@pytest.mark.parametrize(
    ("program", "tests", "error"),
    [
        ("def f(): return 1", "assert f() == 1", ""),
        ("def f(): return 1", "assert f() == 2", "AssertionError"),
        ("def f(:", "", "SyntaxError"),
        ("raise SystemExit(0)", "", "SystemExit"),
        ("", "f()", "NameError"),
        ("class Own(Exception): pass\nraise Own('secret')", "", "Own"),
        ("assert __name__ != '__main__'", "", ""),
        ("x = 1", "x += 1\nassert x == 2", ""),
    ],
)
def test_what_was_raised_is_told_by_its_type(program: str, tests: str, error: str) -> None:
    assert run(program, tests) == error


BELOW_PYTHON = """
import importlib.util, os, sys
found = importlib.util.spec_from_file_location("child", sys.argv[1])
child = importlib.util.module_from_spec(found)
found.loader.exec_module(child)
import ctypes, socket
library = ctypes.CDLL(None, use_errno=True)
library.prctl(38, 1, 0, 0, 0)
held = [child._restrict_writes(library, os.getcwd()), child._filter_calls(library)]
def refused(call, *arguments):
    try:
        call(*arguments)
    except OSError:
        return True
    return False
attempts = [
    (held[0], open, sys.argv[2], "w"), (held[0], os.remove, sys.argv[2]), (held[0], os.mkdir, sys.argv[2] + "d"),
    (held[1], socket.socket), (held[1], os.fork), (held[1], os.execv, "/bin/true", ["true"]),
    (held[1], os.posix_spawn, "/bin/true", ["true"], {}), (held[1], os.kill, os.getppid(), 0),
    (held[1], os.chmod, sys.argv[2], 0o777), (held[1], os.setsid),
]
open("mine", "w").close()
print([call.__name__ for is_held, call, *arguments in attempts if is_held and not refused(call, *arguments)], held)
"""


def test_the_kernel_refuses_the_same_without_the_audit_hook(tmp_path: Path) -> None:
    """Each layer holds alone; a kernel without Landlock or seccomp shows False for it and skips its attempts."""
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    outside.write_text("kept")
    inside.mkdir()
    command = [sys.executable, "-c", BELOW_PYTHON, sandbox_child.__file__, str(outside)]
    done = subprocess.run(command, cwd=inside, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("[] ")
    assert outside.read_text() == "kept"
