"""Goodput under overload: at the capacity and at four times the capacity, in turns, on one gateway process.

`python -m loadtests.overload [--rounds 5]` starts a mock upstream (20 tokens in half a second) and a gateway that may
hold 64 requests, so 128 a second fit. Poisson arrivals, open loop, each request with a deadline of 1.5 s. Goodput is
the number of requests a second that end completely and in time. Prints a table and one JSON line. Exits 1 if the
goodput at four times the capacity is below 0.9 of that at the capacity, or if refused requests waited for more than 50
ms (p99).
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import orjson
import uvloop
from rich.console import Console
from rich.progress import track
from rich.table import Table

from loadtests.client import Answer, Client, http_request, offered
from loadtests.contestants import Upstreams, ours, roomy_catalog
from loadtests.process_tree import ProcessTree
from serve.cli import raise_file_limit

PERMITS: Final = 64
TOKENS: Final = 20
GAP_MS: Final = 25
DEADLINE_MS: Final = 1500
FITS: Final = PERMITS / (TOKENS * GAP_MS / 1e3)  # requests a second
TIMES: Final = (1, 4)
LEAST_SHARE: Final = 0.9
SHED_WITHIN_MS: Final = 50.0


@dataclass(frozen=True, slots=True)
class Round:
    """What came of one round.

    Attributes:
        goodput: answers a second that were whole and in time.
        shed: share of the requests answered 429.
        shed_p99_ms: how long these waited for it.
        other: answers that were neither good, nor shed, nor given up at their deadline (408).
    """

    goodput: float
    shed: float
    shed_p99_ms: float
    other: int

    @classmethod
    def of(cls, answers: list[Answer], seconds: float) -> "Round":
        """Count."""
        good = sum(_is_good(answer) for answer in answers)
        shed = sorted(answer.total_s for answer in answers if answer.status == 429)
        late = sum(answer.status == 408 or (answer.status == 200 and not _is_good(answer)) for answer in answers)
        p99_ms = shed[int(len(shed) * 0.99)] * 1e3 if shed else 0.0
        return cls(good / seconds, len(shed) / len(answers), p99_ms, len(answers) - good - len(shed) - late)


def _is_good(answer: Answer) -> bool:
    return answer.status == 200 and answer.tokens == TOKENS and answer.total_s <= DEADLINE_MS / 1e3


def main() -> int:
    """Offer, count, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0, help="of one round")
    arguments = parser.parse_args()
    raise_file_limit()
    with tempfile.TemporaryDirectory(prefix="moegate-overload-") as name:
        rounds = _measure(Path(name), arguments.rounds, arguments.seconds)
    table = Table("offered", "goodput a second", "shed", "told so, p99 ms", "anything else")
    for times, row in rounds.items():
        told = ", ".join(f"{one.goodput:.1f}" for one in row)
        shed, p99_ms = (statistics.median(getattr(one, name) for one in row) for name in ("shed", "shed_p99_ms"))
        table.add_row(f"{times} x {FITS:.0f}", told, f"{shed:.0%}", f"{p99_ms:.1f}", str(sum(one.other for one in row)))
    Console(stderr=True).print(table)
    share = statistics.median(
        many.goodput / one.goodput for one, many in zip(rounds[TIMES[0]], rounds[TIMES[-1]], strict=True)
    )
    worst_ms = statistics.median(one.shed_p99_ms for one in rounds[TIMES[-1]])
    others = sum(one.other for row in rounds.values() for one in row)
    print(json.dumps({"share": round(share, 3), "shed_p99_ms": round(worst_ms, 1), "other": others}))
    return 0 if share >= LEAST_SHARE and worst_ms <= SHED_WITHIN_MS and not others else 1


def _measure(folder: Path, rounds: int, seconds: float) -> dict[int, list[Round]]:
    pace = ["--tokens", str(TOKENS), "--gap-ms", str(GAP_MS)]
    upstream = ProcessTree([sys.executable, "-m", "loadtests.upstream", *pace], log=folder / "upstream.log")
    target = upstream.await_line("grpc=", 30).split()[0].removeprefix("grpc=")
    moegate = ours(1, roomy_catalog(folder, 10 * PERMITS))[0]
    limits = {"MOEGATE_ADMISSION__MAX_IN_FLIGHT": str(PERMITS), "MOEGATE_ADMISSION__MAX_QUEUE_LEN": str(PERMITS)}
    moegate = replace(moegate, environment=moegate.environment | limits)
    tree, port = moegate.start(Upstreams(target, ""), folder)
    body = {"model": "auto", "messages": [{"role": "user", "content": "Plan a weekend."}], "stream": True}
    headers = {"x-request-timeout-ms": str(DEADLINE_MS)}
    client = Client("127.0.0.1", port, http_request("/v1/chat/completions", orjson.dumps(body), headers))
    found: dict[int, list[Round]] = {times: [] for times in TIMES}
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(offered(client, rate=FITS / 2, seconds=2, seed=0))  # warm
            for seed in track(range(rounds), description="rounds", console=Console(stderr=True)):
                for times in TIMES:
                    answers = runner.run(offered(client, rate=FITS * times, seconds=seconds, seed=seed))
                    found[times].append(Round.of(answers, seconds))
    finally:
        client.close()
        tree.stop()
        upstream.stop()
    return found


if __name__ == "__main__":
    sys.exit(main())
