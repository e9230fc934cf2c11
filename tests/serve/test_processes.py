"""Nothing is left running, not even a daemon that hid behind a dead parent."""

import os
import subprocess
import sys

from serve.processes import descendants

# A parent that adopts, a child that starts a grandchild in its own session and dies, and the clean-up.
SCRIPT = """
import asyncio, os, subprocess, sys, time
from serve.processes import become_subreaper, descendants, end_descendants
become_subreaper()
hide = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
middle = f"import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', {hide!r}], start_new_session=True)"
child = subprocess.Popen([sys.executable, "-c", middle], stdout=subprocess.PIPE)
child.stdout.readline()
child.wait()
print(len(descendants(os.getpid())))
print(asyncio.run(end_descendants(os.getpid(), grace_s=0.2)))
print(len(descendants(os.getpid())))
"""


def test_a_daemon_that_ignores_sigterm_is_found_and_ended() -> None:
    result = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=30, check=True)
    assert result.stdout.split() == ["1", "1", "0"]


def test_a_live_child_is_a_descendant_and_a_dead_one_is_not() -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"]) as child:
        assert child.pid in descendants(os.getpid())
        child.kill()
        child.wait()
        assert child.pid not in descendants(os.getpid())
