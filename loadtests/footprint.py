"""What `moegate up` takes: seconds to ready, memory by process, seconds to stop, processes left behind.

`python -m loadtests.footprint [--runs N] [-- MOEGATE_UP_ARGUMENTS]`. Each run starts and stops the real thing. Memory
is RSS, and PSS (shared pages divided among the processes that share them, /proc/PID/smaps_rollup), after the experts
have been idle for a while. Prints tables and one JSON line last.
"""

import argparse
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from loadtests.process_tree import end_with_us, forget

IDLE_S = 10.0


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("up", nargs="*", help="arguments of `moegate up`")
    arguments = parser.parse_args()
    runs = [_run(arguments.up) for _ in range(arguments.runs)]
    _print(runs)
    summary = {
        key: {"median": statistics.median(run[key] for run in runs), "all": [run[key] for run in runs]}
        for key in ("ready_s", "rss_gb", "pss_gb", "stop_s", "left_behind")
    }
    print(json.dumps(summary))
    return 0


def _run(up: list[str]) -> dict[str, Any]:
    began = time.monotonic()
    command = [sys.executable, "-m", "serve.cli", "up", "--port", "0", "--grpc-port", "0", *up]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    end_with_us(process.terminate)
    assert process.stdout is not None
    for line in process.stdout:
        if "moegate ready" in line:
            break
    else:
        raise SystemExit("moegate up ended before it was ready")
    ready_s = time.monotonic() - began
    time.sleep(IDLE_S)
    gateway = psutil.Process(process.pid)
    members = [gateway, *gateway.children(recursive=True)]
    memory = {member: _memory_mb(member) for member in members}
    by_kind: dict[str, list[float]] = defaultdict(lambda: [0, 0.0, 0.0])
    for member, (rss, pss) in memory.items():
        kind = by_kind["moegate up (gateway)" if member == gateway else _kind(member)]
        kind[0] += 1
        kind[1] += rss
        kind[2] += pss
    stopping = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.wait(timeout=30)
    stop_s = time.monotonic() - stopping
    forget(process.terminate)
    left = [member for member in members if member.is_running()]
    return {
        "ready_s": round(ready_s, 1),
        "rss_gb": round(sum(rss for rss, _ in memory.values()) / 1024, 2),
        "pss_gb": round(sum(pss for _, pss in memory.values()) / 1024, 2),
        "stop_s": round(stop_s, 1),
        "left_behind": len(left),
        "kinds": dict(by_kind),
    }


def _memory_mb(process: psutil.Process) -> tuple[float, float]:
    """RSS and PSS; nothing of a process that has ended."""
    with contextlib.suppress(psutil.Error):
        memory = process.memory_full_info()
        return memory.rss / 2**20, memory.pss / 2**20
    return 0.0, 0.0


def _kind(process: psutil.Process) -> str:
    """Name a process by what it does for moegate."""
    try:
        line = " ".join(process.cmdline())
    except psutil.Error:
        return "ended"
    for mark, name in (
        ("experts.engines", "expert: engine"),
        ("ray::ServeReplica", "expert: Ray replica"),
        ("experts.app", "experts.app (Ray driver)"),
        ("ray::", "Ray Serve controller, proxies"),
        ("haproxy", "HAProxy"),
    ):
        if mark in line:
            return name
    return "Ray: " + os.path.basename(line.split(" ")[0]) if "ray" in line else "other"


def _print(runs: list[dict[str, Any]]) -> None:
    console = Console(stderr=True)
    table = Table("run", "ready s", "RSS GB", "PSS GB", "stop s", "left behind")
    for i, run in enumerate(runs, 1):
        table.add_row(str(i), *(str(run[key]) for key in ("ready_s", "rss_gb", "pss_gb", "stop_s", "left_behind")))
    console.print(table)
    where = Table("process (last run)", "count", "RSS MB", "PSS MB")
    for name, (count, rss, pss) in sorted(runs[-1]["kinds"].items(), key=lambda item: -item[1][2]):
        where.add_row(name, f"{count:.0f}", f"{rss:.0f}", f"{pss:.0f}")
    console.print(where)


if __name__ == "__main__":
    sys.exit(main())
