"""What it costs to keep interactions, and that a store that fails or hangs costs no request anything.

`python -m loadtests.interactions [--rounds N] [--seconds S]` serves small requests by one gateway after the other, in
turns: one that keeps nothing, one that keeps everything in a folder, one whose folder cannot be written to, and one
whose folder hangs (somebody holds its lock). Prints the CPU of a request beside that of the first, by pairs of rounds
(median and range), the slowest hundredth of an open loop, and failures; one JSON line last. `--record` tells instead
what one kept record costs in all, by this process's own CPU time: on the request's path, and in the writer.
"""

import argparse
import fcntl
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry
from rich.console import Console
from rich.table import Table

from experts.catalog.prices import load_prices
from experts.catalog.spec import load_catalog
from loadtests.bench import KINDS, Result, measure, uvloop_runner
from loadtests.contestants import Contestant, ours, roomy_catalog
from protos import chat_pb2 as chat
from protos import expert_pb2 as pb
from router.decision import Candidate, Reason, RouteDecision
from serve.cli import raise_file_limit
from serve.costs.ledger import open_ledger
from serve.interactions.observer import InteractionObserver
from serve.interactions.stores import FolderStore
from serve.interactions.writer import Writer
from serve.request import ChatRequest
from serve.settings.interactions import InteractionsSettings
from serve.settings.tree import CostSettings
from serve.telemetry.metrics import Metrics
from serve.telemetry.recorder import Recorder

_IN_FLIGHT = 640  # room of each expert
_BATCH: Final = 256  # records, as the writer takes them
_TEXTS: Final = {
    "without digits": "Please write a short mail to my colleague about the meeting on Friday, which starts early.",
    "with digits": "Please write a short mail to my colleague about the meeting on Friday, which starts at 10.",
}


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


def record_us(words: str, batches: int = 40) -> dict[str, float]:
    """CPU microseconds of one record: the least of so many batches, by part."""
    with tempfile.TemporaryDirectory(prefix="moegate-interactions-") as name:
        settings = InteractionsSettings(keys=("*",))
        metrics = Metrics(CollectorRegistry())
        writer = Writer(FolderStore(Path(name)), settings, metrics.interactions, "catalog")
        observer = InteractionObserver(settings, writer, lambda expert: "")
        book = open_ledger(load_catalog(), load_prices(), CostSettings()).book
        watched, bare = Recorder((observer,), book), Recorder((), book)
        parts = {
            "path": lambda: _answers(watched, words),
            "without": lambda: _answers(bare, words),
        }
        found: dict[str, list[float]] = {}
        for _ in range(batches):
            for part, work in parts.items():
                found.setdefault(part, []).append(_cpu_us(work)[0])
            batch = writer._next_batch()  # its parts are what is measured
            taken, lines = _cpu_us(lambda batch=batch: [writer._line(one) for one in batch])  # type: ignore[misc]
            found.setdefault("build", []).append(taken)
            found.setdefault("write", []).append(_cpu_us(lambda lines=lines: writer._add(lines))[0])  # type: ignore[misc]
    least = {part: min(values) / _BATCH for part, values in found.items()}
    least["path"] -= least.pop("without")
    return {part: round(value, 1) for part, value in least.items()} | {"all": round(sum(least.values()), 1)}


def _answers(recorder: Recorder, words: str) -> None:
    for _ in range(_BATCH):
        _answer(recorder, words)


def _answer(recorder: Recorder, words: str) -> None:
    """A small request from its receipt to its end; the answer repeats it."""
    now = time.monotonic()
    talk = chat.Conversation(messages=[chat.Message(role=chat.ROLE_USER, content=words)])
    request = ChatRequest("id", "id", "http", "auto", talk, chat.Sampling(), False, now, now + 60)
    decision = RouteDecision((Candidate("coder", 0.9),), Reason.CLASSIFIED, 0.9, "v", 0.0003)
    end = pb.Completion(usage=chat.Usage(prompt_tokens=20, completion_tokens=20))
    with recorder.follow(request) as record:
        record.routed(decision)
        record.answered(decision, now)
        record.tokens(pb.GenerateChunk(text=words, token_count=20, prompt_tokens=20))
        record.tokens(pb.GenerateChunk(completion=end))
        record.completed(end)


def _cpu_us(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.process_time()
    made = work()
    return (time.process_time() - began) * 1e6, made


def main() -> int:
    """Measure and tell; 1 when a request failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=2.0, help="of one round")
    parser.add_argument("--record", action="store_true", help="the CPU of one record, its parts apart")
    arguments = parser.parse_args()
    if arguments.record:
        print(json.dumps({name: record_us(text) for name, text in _TEXTS.items()}))
        return 0
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
