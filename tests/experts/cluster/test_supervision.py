"""However the start code ends, its descendants end with it."""

import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
# The work starts a grandchild that has lost its parent, says so, and waits or ends as told.
PROGRAM = """
import os, subprocess, sys, time
from experts.cluster.supervision import StopRequested, supervise

def work():
    subprocess.run(["sh", "-c", "sleep 100 & "], start_new_session=True)
    print("ready", flush=True)
    if sys.argv[1] == "crash":
        os.kill(os.getpid(), 9)
    if sys.argv[1] == "deaf":
        import signal
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        time.sleep(0 if sys.argv[1] == "end" else 100)
    except StopRequested:
        return 5
    return 3

sys.exit(supervise(work, 0.5))
"""


def marked(mark: str) -> list[int]:
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and mark.encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


@pytest.mark.parametrize(
    ("way", "sent", "status"),
    [
        ("end", None, 3),
        ("crash", None, -9),
        ("wait", signal.SIGTERM, 0),
        ("wait", signal.SIGINT, 0),
        ("deaf", signal.SIGTERM, 0),
    ],
)
def test_nothing_is_left(way: str, sent: signal.Signals | None, status: int) -> None:
    mark = str(uuid.uuid4())
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, way],
        cwd=ROOT,
        env=os.environ | {"MARK": mark},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        if sent is not None:
            until_s = time.monotonic() + 60
            while len(marked(mark)) != 3 and time.monotonic() < until_s:  # a process shows no mark while it is exec'd
                time.sleep(0.01)
            process.send_signal(sent)
        assert process.wait(60) == (status if status >= 0 else 256 + status)
    assert marked(mark) == []


def test_it_ends_with_its_parent() -> None:
    mark = str(uuid.uuid4())
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {PROGRAM!r}, 'wait'])"
    with subprocess.Popen(
        [sys.executable, "-c", parent],
        cwd=ROOT,
        env=os.environ | {"MARK": mark},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.kill()
    until_s = time.monotonic() + 60
    while marked(mark) and time.monotonic() < until_s:
        time.sleep(0.05)
    assert marked(mark) == []
