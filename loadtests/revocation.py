"""How soon is a revoked key refused by every worker, and does anybody else notice?

`python -m loadtests.revocation [--workers 4] [--rounds 12]` starts a gateway of several workers with a file of keys,
before the mock expert. In each round a key is added and, once every worker knows it, revoked, both by `moegate key`. It
is tried all the while on new connections, which the kernel spreads over the workers; the time from the file's change to
the last answer that let the key in is the round's figure. Meanwhile another key's requests are sent without a pause:
each must succeed. Prints a table and one JSON line last; exits 1 where a figure is above two seconds or another's
request failed.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx2
import uvloop
import yaml
from rich.console import Console
from rich.table import Table

from loadtests.process_tree import ProcessTree

BOUND_S: Final = 2.0
_START_S: Final = 120.0
_SURE: Final = 60  # answers in a row that say the same: every worker has been asked, but for 4 * (3/4)**60 of chance
_ASK: Final = {"model": "coder", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 4}


@dataclass(slots=True)
class Findings:
    """What was seen: seconds of each round, and how the other key's requests ended."""

    refused_s: list[float] = field(default_factory=list)
    others: int = 0
    others_failed: int = 0


async def is_let_in(url: str, key: str) -> bool:
    """Ask on a connection of its own."""
    async with httpx2.AsyncClient(timeout=30, verify=False) as client:  # loading authorities would take longer
        answer = await client.get(f"{url}/v1/models", headers={"authorization": f"Bearer {key}"})
    return answer.status_code == 200


async def change(url: str, keys: Path, key: str, *, wanted: bool, command: list[str]) -> float:
    """Run a command that changes the file; return for how many seconds after that the last old answer came."""
    running = asyncio.create_task(asyncio.to_thread(run_key, *command, "--file", str(keys)))
    last_s, in_a_row = 0.0, 0
    while in_a_row < _SURE or not running.done():
        answers = await asyncio.gather(*(is_let_in(url, key) for _ in range(4)))
        if all(answer is wanted for answer in answers):
            in_a_row += len(answers)
        else:
            last_s, in_a_row = time.time(), 0
    changed_s = (await asyncio.to_thread(keys.stat)).st_mtime
    return max(0.0, last_s - changed_s)


async def keep_asking(url: str, key: str, found: Findings, stop: asyncio.Event) -> None:
    """Send requests of a key that stays, one after the other."""
    headers = {"authorization": f"Bearer {key}"}
    async with httpx2.AsyncClient(timeout=30, headers=headers) as client:
        while not stop.is_set():
            answer = await client.post(f"{url}/v1/chat/completions", json=_ASK)
            found.others += 1
            found.others_failed += answer.status_code != 200


def run_key(*arguments: str) -> str:
    """Run `moegate key`; return the key that it prints, if it does."""
    command = [sys.executable, "-m", "serve.cli", "key", *arguments]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    return said.rsplit(" ", 1)[-1].strip()


async def measure(options: argparse.Namespace, folder: Path) -> Findings:
    """Start everything, play the rounds, end everything."""
    found, stop, trees = Findings(), asyncio.Event(), []
    keys, settings = folder / "keys.yaml", folder / "gateway.yaml"
    staying = run_key("add", "staying", "--file", str(keys))
    try:
        trees.append(ProcessTree([sys.executable, "-m", "loadtests.upstream"], log=folder / "expert.log"))
        target = trees[0].await_line("grpc=", _START_S).split()[0].removeprefix("grpc=")
        settings.write_text(yaml.safe_dump({"access": {"keys_file": str(keys)}, "log": {"level": "warning"}}))
        serve = [sys.executable, "-m", "serve.cli", "gateway", "--port", "0", "--grpc-port", "0", "--target", target]
        serve += ["--workers", str(options.workers), "--config", str(settings)]
        trees.append(ProcessTree(serve, log=folder / "gateway.log"))
        url = trees[1].await_line("gateway ready:", _START_S).split("HTTP ")[1].split(",")[0]
        asking = [asyncio.create_task(keep_asking(url, staying, found, stop)) for _ in range(2)]
        for _ in range(options.rounds):
            key = await asyncio.to_thread(run_key, "add", "guest", "--file", str(keys))
            while not all(await asyncio.gather(*(is_let_in(url, key) for _ in range(_SURE)))):
                pass
            command = ["revoke", "guest"]
            found.refused_s.append(await change(url, keys, key, wanted=False, command=command))
        stop.set()
        await asyncio.gather(*asking)
    finally:
        for tree in reversed(trees):
            tree.stop()
    return found


def summary(found: Findings, workers: int) -> dict[str, Any]:
    """Put the figures together."""
    return {
        "workers": workers,
        "rounds": len(found.refused_s),
        "refused_after_s": {
            "median": round(statistics.median(found.refused_s), 3),
            "max": round(max(found.refused_s), 3),
        },
        "other_requests": found.others,
        "other_requests_failed": found.others_failed,
    }


def main() -> int:
    """Measure and print; 1 where the bound was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=12)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="moegate-") as folder:
        found = uvloop.run(measure(options, Path(folder)))
    figures = summary(found, options.workers)
    table = Table("figure", "value")
    for name, value in figures.items():
        table.add_row(name, json.dumps(value))
    Console().print(table)
    print(json.dumps(figures))
    return 1 if max(found.refused_s) > BOUND_S or found.others_failed else 0


if __name__ == "__main__":
    sys.exit(main())
