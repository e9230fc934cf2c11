"""`python -m router.evaluation.latency`: how long one decision takes on one pinned core.

Draws requests from labelled files, each source as often as the others, so that lengths are as mixed as real ones.
Routes them one at a time, then inputs that are made to be slow. Wall time counts; the thread's CPU time beside it shows
how much other work on the machine added. Run it on a quiet machine.
"""

import argparse
import gc
import json
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from router.commands.messages import run_command
from router.features.featurize import RouteQuery, Turn
from router.model.artifact import DEFAULT_PATH
from router.policy.decide import ExpertState
from router.router import Router
from router.training.dataset import Row, read_rows
from router.training.heads import Doubles

WINDOW = 1 << 30
WARM_UP = 2_000  # decisions that are not counted
REPEATS = 50  # of each hostile input
STEP = 1_000  # decisions between two movements of the progress bar
QUANTILES = (50.0, 95.0, 99.0, 99.9, 100.0)
MILLION = 1_000_000
BARS_MS = {"p50": 0.3, "p99": 1.5, "hostile": 5.0}


@dataclass(frozen=True, slots=True)
class Times:
    """Milliseconds of decisions: on the clock, and of this thread's CPU, (n,) each."""

    wall: Doubles
    cpu: Doubles

    def summary(self) -> dict[str, float]:
        """Return the quantiles of the wall clock, and the CPU's median and p99, in ms."""
        names = [f"p{at:g}" if at < 100 else "max" for at in QUANTILES]
        found = dict(zip(names, np.percentile(self.wall, QUANTILES).tolist(), strict=True))
        return found | {"cpu p50": float(np.median(self.cpu)), "cpu p99": float(np.percentile(self.cpu, 99))}


def hostile() -> dict[str, str]:
    """Make the inputs that hurt a careless router; the same every time."""
    draw = random.Random(0)
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    words = [f"{draw.choice(letters)}{draw.randrange(10**6)}" for _ in range(5_000)]
    return {
        "1 MB of words": " ".join(words) * (MILLION // len(" ".join(words)) + 1),
        "1 MB, one line, no space": "a" * MILLION,
        "1 MB of line ends": "\n" * MILLION,
        "1 MB of code": "def f(x): return x[0] + {'k': 1}\n" * (MILLION // 33),
        "50,000 emoji": "😀🎉" * 25_000,
        "50,000 CJK characters": "天气怎么样我们明天去哪里" * (50_000 // 12),
        "50,000 Devanagari characters": "नमस्ते आज मौसम कैसा है " * (50_000 // 23),
        "base64, 200 kB": "".join(draw.choices(letters, k=200_000)),
        "null bytes, 100 kB": "\0" * 100_000,
        "one word of 100,000 letters": "x" * 100_000,
        "100,000 combining marks": "e" + "\u0301" * 100_000,
        "NFKC that grows, 50,000": "\ufdfa" * 50_000,
        "100,000 open brackets": "([{<" * 25_000,
        "100,000 quotes": '"' * 100_000,
        "50,000 fences": "``` " * 12_500,
        "commas and digits (regex bomb)": "1,1.1,1.1," * 10_000,
        "tags never closed": "<document>" + "<doc>word " * 10_000,
        "ignore, ignore, ... (jailbreak's regex)": "ignore all the previous prior " * 3_000,
        "no final mark, long spaces": "a" + " " * 200_000 + "b",
        "lone surrogates": "\ud800" * 20_000,
    }


def timed(
    router: Router,
    queries: Iterator[RouteQuery],
    count: int,
    states: Sequence[ExpertState],
    step: Callable[[int], None],
) -> Times:
    """Route `count` queries one at a time."""
    wall, cpu = np.zeros(count), np.zeros(count)
    for at in range(count):
        query = next(queries)
        cpu_before, before = time.thread_time_ns(), time.perf_counter_ns()
        router.route(query, states)
        after, cpu_after = time.perf_counter_ns(), time.thread_time_ns()
        wall[at], cpu[at] = (after - before) / 1e6, (cpu_after - cpu_before) / 1e6
        if at % STEP == STEP - 1:
            step(STEP)
    return Times(wall, cpu)


def drawn(rows: Sequence[Row], seed: int) -> Iterator[RouteQuery]:
    """Draw a source, then one of its rows, for ever."""
    by_source: dict[str, list[RouteQuery]] = {}
    for row in rows:
        by_source.setdefault(row.source, []).append(row.query)
    sources, draw = list(by_source.values()), random.Random(seed)
    while True:
        yield draw.choice(draw.choice(sources))


def pin(core: int | None) -> str:
    """Keep this process on one core, the last it may use unless one is named; say which, or why not."""
    if not hasattr(os, "sched_setaffinity"):
        return "not pinned (this system cannot)"
    chosen = max(os.sched_getaffinity(0)) if core is None else core
    os.sched_setaffinity(0, {chosen})
    return f"pinned to core {chosen}"


def report(draws: Times, worst: dict[str, Times], console: Console) -> None:
    """Print both tables, with the bars."""
    table = Table(title=f"one decision, {len(draws.wall):,} draws, ms")
    for name in draws.summary():
        table.add_column(name, justify="right")
    table.add_row(*(f"{value:.3f}" for value in draws.summary().values()))
    console.print(table)
    console.print(f"bars: p50 {BARS_MS['p50']} ms, p99 {BARS_MS['p99']} ms; loads at start: {os.getloadavg()[0]:.1f}")
    table = Table(title=f"inputs made to hurt, {REPEATS} times each, ms (bar: {BARS_MS['hostile']:g} at worst)")
    for name in ("input", "median", "max", "cpu max"):
        table.add_column(name, justify="left" if name == "input" else "right")
    for name, times in worst.items():
        table.add_row(name, *(f"{value:.3f}" for value in (np.median(times.wall), times.wall.max(), times.cpu.max())))
    console.print(table)


def main(arguments: Sequence[str] | None = None) -> int:
    """Time decisions on one pinned core."""
    parser = argparse.ArgumentParser(prog="python -m router.evaluation.latency", description=main.__doc__)
    parser.add_argument("--data", nargs="+", type=Path, required=True, help="labelled rows to draw requests from")
    parser.add_argument("--artifact", type=Path, default=DEFAULT_PATH)
    parser.add_argument("--draws", type=int, default=100_000)
    parser.add_argument("--core", type=int, help="which core; the last one by default")
    parser.add_argument("--seed", type=int, default=0, help="of the draws")
    parser.add_argument("--json", action="store_true", help="print one JSON line last")
    options = parser.parse_args(arguments)
    if options.draws < 1:
        parser.error("--draws must be at least 1")
    return run_command(parser, lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    """Draw, time, tell."""
    console = Console()
    console.print(pin(options.core))
    router, rows = Router.load(options.artifact), read_rows(options.data)
    states = [ExpertState(name, WINDOW, True, 0, 1, 0.0) for name in router.gate.experts]
    queries = drawn(rows, options.seed)
    gc.collect()
    gc.freeze()  # as the gateway does once it is up: the rows in memory are no part of a decision
    with Progress(console=console, transient=True) as progress:
        inputs = hostile()
        task = progress.add_task("warming up", total=options.draws)
        timed(router, queries, min(WARM_UP, options.draws), states, lambda _: None)
        progress.update(task, description="routing")
        draws = timed(router, queries, options.draws, states, lambda count: progress.update(task, advance=count))
        task = progress.add_task("inputs made to hurt", total=len(inputs))
        worst = {}
        for name, text in inputs.items():
            query = RouteQuery((Turn("user", text),))
            worst[name] = timed(router, iter([query] * REPEATS), REPEATS, states, lambda _: None)
            progress.update(task, advance=1)
    report(draws, worst, console)
    if options.json:
        hurt = {name: round(float(times.wall.max()), 3) for name, times in worst.items()}
        print(json.dumps({"n": options.draws, "ms": draws.summary(), "hostile_max_ms": hurt}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
