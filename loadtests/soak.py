"""A long mixed run: whole answers, streams, disconnects, bad requests, an upstream that dies and comes back.

`python -m loadtests.soak --minutes 20` starts a gateway and a mock upstream. Every ten seconds it notes the gateway's
memory, open files and requests in flight. At the end it stops the load, waits, and checks that nothing is left: no
request in flight, no permit held, no more open files than at the start, and no growth of memory over the second half
beyond its noise. Prints a table and one JSON line last; exits 1 if something is left.
"""

import argparse
import asyncio
import json
import random
import re
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.request import urlopen

import orjson
import uvloop
from rich.console import Console
from rich.table import Table

from loadtests.client import Client, http_request
from loadtests.contestants import Upstreams, ours
from loadtests.process_tree import ProcessTree

SAMPLE_S: Final = 10.0
OUTAGE_EVERY_S: Final = 60.0
OUTAGE_S: Final = 3.0
QUIET_S: Final = 8.0  # after the load: longer than keep-alive of what was cut off
_IN_FLIGHT: Final = re.compile(r"^moegate_(?:requests_in_flight|admission_waiting)(?:\{.*\})? (\S+)$", re.M)


@dataclass(frozen=True, slots=True)
class Sample:
    """The gateway at one moment."""

    at_s: float
    rss_mb: float
    files: int
    in_flight: float


@dataclass(slots=True)
class Soak:
    """One run.

    Attributes:
        seen: how requests ended, by kind and status.
    """

    tree: ProcessTree
    port: int
    upstream: Callable[[], ProcessTree]
    rng: random.Random
    samples: list[Sample] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)

    async def run(self, minutes: float, in_flight: int) -> None:
        """Load, sample and break things for so long."""
        until = time.monotonic() + minutes * 60
        self.sample()
        work = [self._work(until) for _ in range(in_flight)]
        await asyncio.gather(self._watch(until), self._break(until), *work)
        await asyncio.sleep(QUIET_S)
        self.sample()

    def sample(self) -> None:
        """Look at the gateway."""
        with urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10) as page:
            values = _IN_FLIGHT.findall(page.read().decode())
        files = self.tree.open_files()
        self.samples.append(Sample(time.monotonic(), self.tree.rss_bytes() / 2**20, files, sum(map(float, values))))

    async def _work(self, until: float) -> None:
        clients = {kind: Client("127.0.0.1", self.port, raw) for kind, raw in _requests().items()}
        while time.monotonic() < until:
            kind = self.rng.choice(list(clients))
            asking = asyncio.ensure_future(clients[kind].ask(time.perf_counter()))
            if kind == "leaves":
                await asyncio.sleep(self.rng.uniform(0, 0.3))
                asking.cancel()
                await asyncio.gather(asking, return_exceptions=True)
                self.seen["leaves"] += 1
                clients[kind].abort()
                continue
            self.seen[f"{kind} {(await asking).status}"] += 1
        for client in clients.values():
            client.close()

    async def _watch(self, until: float) -> None:
        while time.monotonic() < until:
            await asyncio.sleep(SAMPLE_S)
            await asyncio.to_thread(self.sample)

    async def _break(self, until: float) -> None:
        tree = self.upstream()
        try:
            while time.monotonic() < until:
                await asyncio.sleep(min(OUTAGE_EVERY_S, until - time.monotonic()))
                await asyncio.to_thread(tree.stop)
                await asyncio.sleep(OUTAGE_S)
                tree = await asyncio.to_thread(self.upstream)
        finally:
            tree.stop()

    def verdict(self) -> dict[str, Any]:
        """What is left, and whether memory grows."""
        first, last = self.samples[0], self.samples[-1]
        later = self.samples[len(self.samples) // 2 : -1]
        slope, error = _slope([(s.at_s / 3600, s.rss_mb) for s in later])
        return {
            "in_flight_left": last.in_flight,
            "files_left": last.files - first.files,
            "rss_mb": round(last.rss_mb, 1),
            "slope_mb_per_hour": round(slope, 2),
            "noise_mb_per_hour": round(2 * error, 2),
            "is_clean": last.in_flight == 0 and last.files <= first.files + 4 and slope <= 2 * error + 1.0,
        }


def _requests() -> dict[str, bytes]:
    body: dict[str, Any] = {"model": "auto", "messages": [{"role": "user", "content": "Plan a weekend in Lisbon."}]}
    path = "/v1/chat/completions"
    return {
        "whole": http_request(path, orjson.dumps(body), {}),
        "stream": http_request(path, orjson.dumps(body | {"stream": True}), {}),
        "leaves": http_request(path, orjson.dumps(body | {"stream": True}), {}),
        "hurried": http_request(path, orjson.dumps(body), {"x-request-timeout-ms": "50"}),
        "unknown": http_request(path, orjson.dumps(body | {"model": "nobody"}), {}),
        "broken": http_request(path, b'{"messages": [', {}),
    }


def _slope(points: list[tuple[float, float]]) -> tuple[float, float]:
    """Least squares: the slope and its standard error."""
    if len(points) < 4:
        return 0.0, 0.0
    xs, ys = [x for x, _ in points], [y for _, y in points]
    slope, intercept = statistics.linear_regression(xs, ys)
    rest = sum((y - intercept - slope * x) ** 2 for x, y in points) / (len(points) - 2)
    spread = sum((x - statistics.fmean(xs)) ** 2 for x in xs)
    return slope, (rest / spread) ** 0.5


def main() -> int:
    """Run, print; 1 when something is left."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--in-flight", type=int, default=24)
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="moegate-soak-") as name:
        folder = Path(name)
        command = [sys.executable, "-m", "loadtests.upstream", "--tokens", "20", "--gap-ms", "10"]
        first = ProcessTree(command, log=folder / "upstream.log")
        target = first.await_line("grpc=", 30).split()[0].removeprefix("grpc=")
        first.stop()

        def upstream() -> ProcessTree:
            tree = ProcessTree([*command, "--grpc-port", target.rpartition(":")[2]], log=folder / "upstream.log")
            tree.await_line("grpc=", 30)
            return tree

        tree, port = ours(arguments.workers)[0].start(Upstreams(target, ""), folder)
        try:
            soak = Soak(tree, port, upstream, random.Random(1))
            asyncio.Runner(loop_factory=uvloop.new_event_loop).run(soak.run(arguments.minutes, arguments.in_flight))
        finally:
            tree.stop()
    _tell(soak)
    verdict = soak.verdict()
    print(json.dumps(verdict))
    return 0 if verdict["is_clean"] else 1


def _tell(soak: Soak) -> None:
    table = Table("request, status", "times")
    for kind, times in sorted(soak.seen.items()):
        table.add_row(kind, f"{times:,}")
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
