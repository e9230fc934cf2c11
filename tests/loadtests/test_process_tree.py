"""A process under measurement ends with whoever started it, also where that is told to end."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from loadtests.process_tree import ProcessTree

CHILD = """
import subprocess, time
print("child", subprocess.Popen(["sleep", "600"]).pid, flush=True)
time.sleep(600)
"""
PARENT = """
import sys, time
from pathlib import Path
from loadtests.process_tree import ProcessTree
tree = ProcessTree([sys.executable, "-c", {child!r}], log=Path({log!r}))
print(tree.await_line("child", 60), flush=True)
{wait}
"""
WAITS = {
    # Python looks for signals between two calls: one that comes just before a sleep waits until its end.
    "sleeping": "while True: time.sleep(0.05)",
    "in a loop": "import asyncio, uvloop\nasyncio.run(asyncio.sleep(600), loop_factory=uvloop.new_event_loop)",
}


def is_alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def ended(pid: int) -> bool:
    until = time.monotonic() + 60
    while is_alive(pid) and time.monotonic() < until:
        time.sleep(0.05)
    return not is_alive(pid)


@pytest.mark.parametrize("wait", WAITS)
def test_nothing_is_left_of_a_load_test_that_is_told_to_end(tmp_path: Path, wait: str) -> None:
    code = PARENT.format(child=CHILD, log=str(tmp_path / "log"), wait=WAITS[wait])
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        grandchild = int(parent.stdout.readline().split()[1])
        assert is_alive(grandchild)
        parent.send_signal(signal.SIGTERM)
        assert parent.wait(60) == -signal.SIGTERM
    assert ended(grandchild)


def test_a_tree_that_was_stopped_is_forgotten(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    try:
        tree = ProcessTree([sys.executable, "-c", CHILD], log=tmp_path / "log")
        grandchild = int(tree.await_line("child", 60).split()[1])
        tree.stop()
        assert ended(grandchild)
        tree.stop()  # once more does no harm
    finally:
        signal.signal(signal.SIGTERM, before)
