"""What it costs to keep interactions, and that a store that fails or hangs costs no request anything.

`python -m loadtests.interactions [--rounds N] [--seconds S]` serves small requests by one gateway after the other, in
turns: one that keeps nothing, one that keeps everything in a folder, one whose folder cannot be written to, and one
whose folder hangs (somebody holds its lock). Prints the CPU of a request beside that of the first, by pairs of rounds
(median and range), the slowest hundredth of an open loop, and failures; one JSON line last.
"""

import argparse
import fcntl
import json
import os
import statistics
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from loadtests.bench import KINDS, Result, measure, uvloop_runner
from loadtests.contestants import Contestant, ours, roomy_catalog
from serve.cli import raise_file_limit

_IN_FLIGHT = 640  # room of each expert


def contestants(folder: Path) -> list[Contestant]:
    """The same gateway, four times; `folder` holds what they write."""
    plain = ours(catalog=roomy_catalog(folder, _IN_FLIGHT))[0]
    (folder / "a file").touch()
    targets = {"kept": folder / "kept", "failing": folder / "a file" / "kept", "hanging": folder / "hanging"}
    return [
        replace(plain, name="off"),
        *(
            replace(
                plain,
                name=name,
                environment={
                    **plain.environment,
                    "MOEGATE_INTERACTIONS__KEYS": '["*"]',
                    "MOEGATE_INTERACTIONS__TARGET": str(target),
                },
            )
            for name, target in targets.items()
        ),
    ]


def figures(results: list[Result]) -> dict[str, dict[str, Any]]:
    """Each gateway's figures, its CPU beside that of the first one in the same round."""
    base = results[0]
    found = {}
    for result in results:
        shares = [one / other - 1 for one, other in zip(result.cpu_us, base.cpu_us, strict=True)]
        found[result.contestant] = {
            "cpu_us": round(statistics.median(result.cpu_us), 1),
            "more": round(statistics.median(shares), 4),
            "least": round(min(shares), 4),
            "most": round(max(shares), 4),
            "p99_ms": {share: values.get("total_p99_ms") for share, values in result.latencies.items()},
            "failures": result.failures,
        }
    return found


def main() -> int:
    """Measure and tell; 1 when a request failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=2.0, help="of one round")
    arguments = parser.parse_args()
    raise_file_limit()
    with tempfile.TemporaryDirectory(prefix="moegate-interactions-") as name, uvloop_runner() as runner:
        folder = Path(name)
        (folder / "hanging").mkdir()
        lock = os.open(folder / "hanging" / ".lock", os.O_RDWR | os.O_CREAT)
        fcntl.flock(lock, fcntl.LOCK_EX)
        results = runner.run(measure(KINDS[0], contestants(folder), arguments.rounds, arguments.seconds))
        os.close(lock)
    found = figures(results)
    table = Table("gateway", "CPU µs", "more than off", "p99 ms at 30, 60, 90 %", "failures")
    for gateway, one in found.items():
        span = f"{one['more']:+.1%} ({one['least']:+.1%} to {one['most']:+.1%})"
        table.add_row(
            gateway, str(one["cpu_us"]), span, " ".join(map(str, one["p99_ms"].values())), str(one["failures"])
        )
    Console().print(table)
    print(json.dumps(found))
    return 1 if any(one["failures"] for one in found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
