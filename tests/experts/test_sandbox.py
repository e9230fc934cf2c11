"""The sandbox against programs that mean harm, or mean to look right."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from experts.evaluation.suites.sandbox import Limits, Outcome, run_tests

LIMITS = Limits(cpu_s=1)


def run(program: str, tests: str = "assert f() == 1", timeout_s: float = 60) -> Outcome:
    return run_tests(program, tests, LIMITS, timeout_s)


def test_a_right_program_passes_and_says_what_held_it() -> None:
    outcome = run("def f(): return 1")
    assert outcome.passed
    assert outcome.reason == "passed"
    assert {"limits", "audit"} <= set(outcome.guards)


def test_a_wrong_program_fails() -> None:
    assert run("def f(): return 2") == replace(run("def f(): return 2"), passed=False, reason="AssertionError")
    assert run("def f(: return 1").reason == "SyntaxError"
    assert run("def f(): return undefined").reason == "NameError"


@pytest.mark.parametrize(
    "program",
    [
        "import os\nos._exit(0)",
        "import sys\nsys.exit(0)",
        "raise SystemExit",
        "exit()",
        "def f():\n    import os\n    os._exit(0)",
        "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\ndef f(): return 2",
        "import atexit, os\natexit.register(lambda: os._exit(0))\ndef f(): return 2",
    ],
)
def test_leaving_early_is_a_failure(program: str) -> None:
    assert not run(program).passed


def test_printed_results_are_not_believed() -> None:
    program = """
import os, json
print("passed"); print(json.dumps({"token": "0", "error": ""}))
for descriptor in range(3, 32):
    try:
        os.write(descriptor, b'{"token": "", "error": ""}\\n{"token": null, "error": ""}\\n')
    except OSError:
        pass
os._exit(0)
"""
    assert run(program).reason == "ended early"


def test_forged_reports_do_not_hide_the_true_one() -> None:
    program = """
import os
for descriptor in range(3, 32):
    try:
        os.write(descriptor, b'not json\\n[1]\\n{"guards": ["none"]}\\n')
    except OSError:
        pass
def f(): return 2
"""
    outcome = run(program)
    assert not outcome.passed
    assert "limits" in outcome.guards


def test_an_endless_loop_is_cut_by_cpu_time() -> None:
    # Not "timeout": the clock, which a busy machine stretches, was not what ended it.
    assert run("while True: pass", timeout_s=120).reason == "ended early"


def test_an_endless_sleep_is_cut_by_the_clock() -> None:
    assert run("import time\ntime.sleep(600)", timeout_s=1.0).reason == "timeout"


def test_memory_is_bounded() -> None:
    assert run("x = bytearray(4 << 30)\ndef f(): return 1").reason == "MemoryError"


def test_a_fork_bomb_makes_no_process() -> None:
    program = """
import os
def f():
    made = 0
    for _ in range(50):
        try:
            made += os.fork() > 0
        except OSError:
            pass
    return 1 if made == 0 else 2
"""
    assert run(program).passed


@pytest.mark.parametrize(
    "attempt",
    [
        "import socket; socket.create_connection(('127.0.0.1', 22))",
        "import urllib.request; urllib.request.urlopen('http://127.0.0.1')",
        "import subprocess; subprocess.run(['true'])",
        "import os; os.system('true')",
        "import ctypes; ctypes.CDLL(None)",
        "import os; os.kill(os.getppid(), 0)",
    ],
)
def test_network_and_processes_are_refused(attempt: str) -> None:
    program = f"def f():\n    {attempt}\n    return 1"
    outcome = run(program)
    assert outcome.reason in {"PermissionError", "URLError"}


def test_a_big_file_is_refused_and_the_folder_is_its_own(tmp_path: Path) -> None:
    big = "def f():\n    with open('big', 'wb') as file:\n        file.write(bytes(8 << 20))\n    return 1"
    assert run(big).reason == "OSError"
    small = (
        "def f():\n    with open('small', 'w') as file:\n        file.write('x')\n    return len(open('small').read())"
    )
    assert run(small).passed
    assert not Path("small").exists()


def test_nothing_outside_the_folder_is_changed(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text("kept")
    os.chmod(tmp_path, 0o777)
    for attempt in (
        f"open({str(kept)!r}, 'w').write('gone')",
        f"import os; os.remove({str(kept)!r})",
        f"import os; os.rename({str(kept)!r}, 'mine')",
        f"import shutil; shutil.rmtree({str(tmp_path)!r})",
        f"import os; os.chmod({str(kept)!r}, 0)",
        f"import os; os.truncate({str(kept)!r}, 0)",
    ):
        assert run(f"def f():\n    {attempt}\n    return 1").reason == "PermissionError", attempt
    assert kept.read_text() == "kept"


def test_many_files_are_refused() -> None:
    program = "def f():\n    for n in range(100):\n        open(f'file{n}', 'w').close()\n    return 1"
    assert run(program).reason == "PermissionError"


def test_a_thread_that_stays_does_not_hold_the_run() -> None:
    program = """
import threading, time
def f():
    try:
        threading.Thread(target=time.sleep, args=(600,)).start()
    except RuntimeError:
        pass
    return 1
"""
    assert run(program, timeout_s=120).passed
