"""What `moegate up` takes: seconds to ready, memory by process, seconds to stop, processes left behind.

`python -m loadtests.footprint [--runs N] [-- MOEGATE_UP_ARGUMENTS]`. Each run starts and stops the real thing. Memory
is RSS, and PSS (shared pages divided among the processes that share them, /proc/PID/smaps_rollup), after the experts
have been idle for a while. Prints tables and one JSON line last.
"""

import argparse
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

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
    assert process.stdout is not None
    for line in process.stdout:
        if "moegate ready" in line:
            break
    else:
        raise SystemExit("moegate up ended before it was ready")
    ready_s = time.monotonic() - began
    time.sleep(IDLE_S)
    members = _tree(process.pid)
    memory = {pid: _memory_mb(pid) for pid in members}
    by_kind: dict[str, list[float]] = defaultdict(lambda: [0, 0.0, 0.0])
    for pid, (rss, pss) in memory.items():
        kind = by_kind[_kind(pid, process.pid)]
        kind[0] += 1
        kind[1] += rss
        kind[2] += pss
    stopping = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.wait(timeout=30)
    stop_s = time.monotonic() - stopping
    left = [pid for pid in members if Path(f"/proc/{pid}").exists()]
    return {
        "ready_s": round(ready_s, 1),
        "rss_gb": round(sum(rss for rss, _ in memory.values()) / 1024, 2),
        "pss_gb": round(sum(pss for _, pss in memory.values()) / 1024, 2),
        "stop_s": round(stop_s, 1),
        "left_behind": len(left),
        "kinds": dict(by_kind),
    }


def _tree(root: int) -> list[int]:
    parents: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(entry.parent.name)] = int(fields[1])
    found, frontier = [root], {root}
    while frontier:
        frontier = {pid for pid, parent in parents.items() if parent in frontier}
        found += frontier
    return found


def _memory_mb(pid: int) -> tuple[float, float]:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0.0, 0.0
    values = [int(match[1]) / 1024 for match in re.finditer(r"^(?:Rss|Pss): +(\d+) kB", text, re.MULTILINE)]
    return values[0], values[1]


def _kind(pid: int, root: int) -> str:
    """Name a process by what it does for moegate."""
    if pid == root:
        return "moegate up (gateway)"
    try:
        line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
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
