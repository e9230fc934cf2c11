"""Runs an unknown program and its tests in a process that can do nothing else.

The code suite calls `run_tests` for every answer. `sandbox_child.py` confines itself and runs the program. This side
gives it an empty folder and a time limit, kills its process group, and accepts only a report with this run's token. It
is made for what language models write, hostile programs included. A program that finds the token in its own
interpreter's memory could forge its own result, but it could not leave the sandbox.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_CHILD = Path(__file__).with_name("sandbox_child.py")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one run may use."""

    cpu_s: int = 5
    memory_bytes: int = 512 * 1024 * 1024
    file_bytes: int = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended."""

    passed: bool
    reason: str  # "passed", the type of the exception, "timeout", or "ended early": killed or left by itself
    guards: tuple[str, ...]  # what was in force: limits, landlock, seccomp, audit


def run_tests(program: str, tests: str, limits: Limits, timeout_s: float) -> Outcome:
    """Run a program and then its tests; passed means that the last line of the tests was reached."""
    token = secrets.token_hex(16)
    job = json.dumps({"program": program, "tests": tests, "token": token, "limits": asdict(limits)}) + "\n"
    with tempfile.TemporaryDirectory(prefix="moegate-solution-", ignore_cleanup_errors=True) as folder:
        output = _run_child(job.encode("utf-8", "surrogatepass"), os.path.realpath(folder), timeout_s)
    if output is None:
        return Outcome(False, "timeout", ())
    reports = _read_reports(output)
    guards = next((tuple(report["guards"]) for report in reports if isinstance(report.get("guards"), list)), ())
    error = next((str(report["error"]) for report in reports if report.get("token") == token), None)
    if error is None:
        return Outcome(False, "ended early", guards)
    return Outcome(not error, error or "passed", guards)


def _run_child(job: bytes, folder: str, timeout_s: float) -> bytes | None:
    """Return what the child reported; None when its time was over."""
    command = [sys.executable, "-I", "-S", "-B", str(_CHILD)]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        env={"PATH": os.defpath, "HOME": folder, "PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1"},
        start_new_session=True,
    ) as child:
        try:
            return child.communicate(job, timeout=timeout_s)[0]
        except subprocess.TimeoutExpired:
            return None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)


def _read_reports(output: bytes) -> list[dict[str, Any]]:
    """Parse the lines that are JSON objects; a program that writes to the report's descriptor writes anything."""
    reports = []
    for line in output.split(b"\n")[:64]:
        try:
            report = json.loads(line)
        except ValueError:
            continue
        if isinstance(report, dict):
            reports.append(report)
    return reports
