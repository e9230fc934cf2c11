"""What a gateway costs and how fast it is, compared with the minimum and, on request, with its peers, in one run.

`python -m loadtests.bench [--peers VENV] [--rounds 5]`. Every contestant has the same mock upstream behind it, for each
kind of request: a small one, a stream of 50 tokens that come five at a time, and one whose tokens come alone. First the
contestants take turns with 64 requests in flight. That gives the gateway's CPU for each request, requests a second, and
the ratio of medians to moegate's. Then an open loop runs at 30, 60 and 90 % of what each one reached. Its latencies are
by the client's clock, from when a request was due. Prints a table, writes `FOLDER/bench.json` and `bench.png`.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson
import uvloop
from rich.console import Console

from experts.commands.messages import complain
from experts.commands.outputs import IsOurs, NotOurs, claim_all, json_with, signed_picture, text_with, write
from loadtests.bench_report import draw, tell
from loadtests.client import Answer, Client, closed, http_request, offered
from loadtests.contestants import CATALOG_HEADER, Contestant, Upstreams, ours, peers, roomy_catalog, versions
from loadtests.process_tree import ProcessTree
from serve.cli import raise_file_limit

OUTPUTS: Final[dict[str, IsOurs]] = {
    "bench.json": json_with("date", "rounds", "results"),
    "bench.png": signed_picture,
    "experts.yaml": text_with(CATALOG_HEADER),
}
IN_FLIGHT: Final = 64
SHARES: Final = (0.3, 0.6, 0.9)
QUESTION: Final = "Fix this Python function: def add(a, b): return a - b"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of request and the upstream's pace behind it."""

    name: str
    is_stream: bool
    tokens: int
    burst: int
    first_ms: float
    gap_ms: float


KINDS: Final = (
    Kind("small", False, 3, 3, 0, 0),
    Kind("stream, bursts of 5", True, 50, 5, 10, 25),
    Kind("stream, tokens alone", True, 50, 1, 10, 5),
)


@dataclass(slots=True)
class Result:
    """One contestant at one kind of request.

    Attributes:
        cpu_us: CPU of the gateway per request, by round; likewise `per_s`, requests a second.
        rss_mb: after all rounds.
        latencies: by share of its own saturation: quantiles in milliseconds.
        failures: answers that were not 200 and whole.
    """

    contestant: str
    kind: str
    cpu_us: list[float] = field(default_factory=list)
    per_s: list[float] = field(default_factory=list)
    rss_mb: float = 0.0
    latencies: dict[str, dict[str, float]] = field(default_factory=dict)
    failures: int = 0


@dataclass(slots=True)
class _Running:
    """A contestant under load."""

    tree: ProcessTree
    client: Client
    result: Result


async def measure(kind: Kind, contestants: Iterable[Contestant], rounds: int, seconds: float) -> list[Result]:
    """Measure every contestant at one kind of request."""
    with tempfile.TemporaryDirectory(prefix="moegate-bench-") as folder:
        upstream, upstreams = _start_upstream(kind, Path(folder))
        running: list[_Running] = []
        try:
            for contestant in contestants:
                one = _start(contestant, kind, upstreams, Path(folder))
                running.append(one)
            for one in running:
                await _round(one, kind, seconds, is_warm_up=True)
            for _ in range(rounds):
                for one in running:
                    await _round(one, kind, seconds)
            for one in running:
                one.result.rss_mb = round(one.tree.rss_bytes() / 2**20, 1)
                await _latencies(one, kind, seconds)
        finally:
            for one in running:
                one.client.close()
                one.tree.stop()
            upstream.stop()
    return [one.result for one in running]


def _start_upstream(kind: Kind, folder: Path) -> tuple[ProcessTree, Upstreams]:
    pace = {"tokens": kind.tokens, "burst": kind.burst, "first-ms": kind.first_ms, "gap-ms": kind.gap_ms}
    options = [text for name, value in pace.items() for text in (f"--{name}", str(value))]
    tree = ProcessTree([sys.executable, "-m", "loadtests.upstream", *options], log=folder / "upstream.log")
    grpc, http = tree.await_line("grpc=", 30).split()
    return tree, Upstreams(grpc.removeprefix("grpc="), http.removeprefix("http="))


def _start(contestant: Contestant, kind: Kind, upstreams: Upstreams, folder: Path) -> _Running:
    tree, port = contestant.start(upstreams, folder)
    body: dict[str, Any] = {"model": contestant.model, "messages": [{"role": "user", "content": QUESTION}]}
    raw = http_request("/v1/chat/completions", orjson.dumps(body | {"stream": kind.is_stream}), {})
    return _Running(tree, Client("127.0.0.1", port, raw), Result(contestant.name, kind.name))


async def _round(one: _Running, kind: Kind, seconds: float, *, is_warm_up: bool = False) -> None:
    """Keep `IN_FLIGHT` requests going for so many seconds."""
    cpu_s, began = one.tree.cpu_s(), time.perf_counter()
    answers: list[Answer] = []
    while time.perf_counter() - began < seconds:
        answers += await closed(one.client, in_flight=IN_FLIGHT, count=IN_FLIGHT * 4)
    elapsed_s, cpu_s = time.perf_counter() - began, one.tree.cpu_s() - cpu_s
    if is_warm_up:
        return
    one.result.failures += sum(not _is_good(answer, kind) for answer in answers)
    one.result.cpu_us.append(cpu_s / len(answers) * 1e6)
    one.result.per_s.append(len(answers) / elapsed_s)


async def _latencies(one: _Running, kind: Kind, seconds: float) -> None:
    saturation = statistics.median(one.result.per_s)
    for share in SHARES:
        answers = await offered(one.client, rate=saturation * share, seconds=seconds * 2, seed=1)
        one.result.failures += sum(not _is_good(answer, kind) for answer in answers)
        good = [answer for answer in answers if _is_good(answer, kind)]
        gaps = [gap for answer in good for gap in answer.gaps_s]
        one.result.latencies[f"{share:.0%}"] = {
            **_quantiles("first", [answer.first_s for answer in good]),
            **_quantiles("gap", gaps),
            **_quantiles("total", [answer.total_s for answer in good]),
        }


def _is_good(answer: Answer, kind: Kind) -> bool:
    return answer.status == 200 and answer.is_complete and answer.tokens == kind.tokens


def _quantiles(name: str, seconds: list[float]) -> dict[str, float]:
    if len(seconds) < 2:
        return {}
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return {f"{name}_p50_ms": round(cuts[49] * 1e3, 3), f"{name}_p99_ms": round(cuts[98] * 1e3, 3)}


def main() -> int:
    """Measure, print, write; 1 when a request failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, metavar="VENV", help="virtual environment that holds the peers")
    parser.add_argument("--workers", type=int, default=1, help="moegate's workers")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of one round")
    parser.add_argument("--kinds", nargs="+", type=int, default=[0, 1, 2], help="which of the kinds of request")
    parser.add_argument("--out", type=Path, default=Path(".bench"), metavar="FOLDER")
    arguments = parser.parse_args()

    raise_file_limit()
    try:
        claim_all(arguments.out, OUTPUTS)
    except NotOurs as error:
        complain(error)
        return 1
    arguments.out.mkdir(parents=True, exist_ok=True)
    catalog = roomy_catalog(arguments.out, 10 * IN_FLIGHT)
    contestants = ours(arguments.workers, catalog) + (peers(arguments.peers) if arguments.peers else [])
    results: list[Result] = []
    with uvloop_runner() as runner:
        for kind in (KINDS[i] for i in arguments.kinds):
            results += runner.run(measure(kind, contestants, arguments.rounds, arguments.seconds))
    tell(results, Console())
    facts = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "peers": versions(arguments.peers) if arguments.peers else {},
        "rounds": arguments.rounds,
        "seconds": arguments.seconds,
        "in_flight": IN_FLIGHT,
        "results": [asdict(result) for result in results],
    }
    write(arguments.out / "bench.json", json.dumps(facts, indent=1))
    draw(results, arguments.out / "bench.png")
    return 1 if any(result.failures for result in results) else 0


def uvloop_runner() -> asyncio.Runner:
    """A runner on uvloop: the generator must not be what is slow."""
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


if __name__ == "__main__":
    sys.exit(main())
