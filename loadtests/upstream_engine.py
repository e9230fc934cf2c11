"""What does an `upstream` expert cost beside its server asked directly, and does a client's leaving reach the server?

`python -m loadtests.upstream_engine [--server URL --model NAME] [--rounds 10] [--seconds 6] [--streams 16]` starts a
whole moegate with one expert before the server; without `--server` before `loadtests.upstream`. Rounds of so many
streams at once, direct and through moegate, take turns, so that a busy machine slows both. Then `--cancels` streams of
a server of its own are left at a random point, and the seconds until that server sees the connection close are
taken. Clocks are the client's; the two servers run on this machine. Prints a table and one JSON line last; exits 1
where a cancel was lost.
"""

import argparse
import asyncio
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx2
import uvloop
import yaml
from rich.console import Console
from rich.table import Table

from loadtests.process_tree import ProcessTree

START_S: Final = 300.0
LOST_S: Final = 10.0  # a cancel that the server has not seen by then
_QUESTIONS: Final = ("Tell a long story about a lighthouse.", "Explain how bread is made.", "Describe a day in Rome.")
_EVENT: Final = b'data: {"choices": [{"index": 0, "delta": {"content": "tok "}, "finish_reason": null}]}\n\n'


@dataclass(slots=True)
class Round:
    """One round of streams."""

    tokens: int = 0
    seconds: float = 0.0
    first_s: list[float] = field(default_factory=list)
    failed: int = 0


class Endless:
    """A server whose streams end when their client leaves; it notes when that was."""

    def __init__(self) -> None:
        self.left = asyncio.Queue[float]()
        self.url = ""

    async def start(self) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"GET"):
            writer.write(b'HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 11\r\n\r\n{"data":[]}')
            writer.close()
            return
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.split(b":")[1]))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
        leaving = asyncio.create_task(reader.read(1))
        while not (await asyncio.wait({leaving}, timeout=0.01))[0]:
            writer.write(_EVENT)
        self.left.put_nowait(time.monotonic())
        writer.close()


async def stream_once(client: httpx2.AsyncClient, model: str, max_tokens: int, number: int, into: Round) -> None:
    """Read one stream to its end; tokens are the server's own count, or what four characters are."""
    question = {"role": "user", "content": f"{_QUESTIONS[number % len(_QUESTIONS)]} ({number})"}
    body = {"model": model, "messages": [question], "max_tokens": max_tokens, "temperature": 0, "stream": True}
    began_s, first_s, characters, tokens = time.monotonic(), 0.0, 0, 0
    body |= {"stream_options": {"include_usage": True}}
    async with client.stream("POST", "chat/completions", json=body) as response:
        async for line in response.aiter_lines():
            if not line.startswith("data: {"):
                continue
            event = json.loads(line[6:])
            for choice in event.get("choices", ()):
                if text := choice.get("delta", {}).get("content"):
                    characters += len(text)
                    first_s = first_s or time.monotonic() - began_s
            tokens = (event.get("usage") or {}).get("completion_tokens") or tokens
    into.failed += response.status_code != 200 or not characters
    into.tokens += tokens or characters // 4
    into.first_s.append(first_s)


async def play_round(client: httpx2.AsyncClient, model: str, options: argparse.Namespace) -> Round:
    """Keep so many streams open for so many seconds."""
    found, began_s, numbers = Round(), time.monotonic(), iter(range(10**9))

    async def one() -> None:
        while time.monotonic() - began_s < options.seconds:
            await stream_once(client, model, options.max_tokens, next(numbers), found)

    await asyncio.gather(*(one() for _ in range(options.streams)))
    found.seconds = time.monotonic() - began_s
    return found


async def cancel_all(client: httpx2.AsyncClient, server: Endless, count: int) -> tuple[list[float], int]:
    """Leave streams, one after the other; return seconds until the server knew, and how many it never heard of."""
    draw, took_s, lost = random.Random(7), [], 0
    body = {"model": "endless", "messages": [{"role": "user", "content": "go on"}], "stream": True, "max_tokens": 4096}
    for _ in range(count):
        async with client.stream("POST", "chat/completions", json=body) as response:
            read = draw.randint(1, 20)
            async for line in response.aiter_lines():
                read -= '"content":"tok' in line
                if read <= 0:
                    break
            left_s = time.monotonic()
        try:
            took_s.append(await asyncio.wait_for(server.left.get(), LOST_S) - left_s)
        except TimeoutError:
            lost += 1
    return took_s, lost


def write_files(folder: Path, server: str, model: str, endless: str, streams: int) -> Path:
    """Write the catalogue and the settings; return the settings' path."""
    entry = {
        "description": "another server",
        "base": "no/weights",
        "engine": "upstream",
        "context_window": 8192,
        "max_batch_size": max(streams, 16),
        "licence": "none",
        "price": {"usd_per_million": {"prompt": 1, "completion": 1}},
        "resources": {"num_cpus": 0.1},
    }
    experts = [
        {"name": "far", **entry, "engine_options": {"base_url": server, "model": model}},
        {"name": "endless", **entry, "engine_options": {"base_url": endless, "model": "endless"}},
    ]
    catalog, settings = folder / "experts.yaml", folder / "gateway.yaml"
    catalog.write_text(yaml.safe_dump({"default": "far", "experts": experts}))
    settings.write_text(yaml.safe_dump({"experts": {"catalog": str(catalog)}, "log": {"level": "warning"}}))
    return settings


def interval(values: Sequence[float]) -> dict[str, Any]:
    """The mean with its 95 % interval; Student's t is 2 + 3/(n - 1), within 0.1 from five rounds on."""
    mean, n = statistics.fmean(values), len(values)
    half = (2 + 3 / (n - 1)) * statistics.stdev(values) / n**0.5 if n > 1 else 0.0
    return {"value": round(mean, 4), "ci95": [round(mean - half, 4), round(mean + half, 4)]}


async def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Start everything, measure, and end everything."""
    endless, trees = Endless(), []
    await endless.start()
    try:
        server, model = options.server, options.model
        if server is None:
            pace = ["--tokens", "64", "--first-ms", "20", "--gap-ms", "10"]
            trees.append(ProcessTree([sys.executable, "-m", "loadtests.upstream", *pace], log=folder / "server.log"))
            server, model = f"http://{trees[0].await_line('http=', 60).split('http=')[1]}/v1", "mock"
        config = write_files(folder, server, model, endless.url, options.streams)
        up = [sys.executable, "-m", "serve.cli", "up", "--port", "0", "--grpc-port", "0", "--config", str(config)]
        trees.append(ProcessTree(up, log=folder / "moegate.log"))
        line = await asyncio.to_thread(trees[-1].await_line, "moegate ready:", START_S)
        gateway = line.split("HTTP ")[1].split(",")[0] + "/v1/"
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
        async with (
            httpx2.AsyncClient(base_url=server + "/", timeout=120, limits=limits) as direct,
            httpx2.AsyncClient(base_url=gateway, timeout=120, limits=limits) as through,
        ):
            pairs = [(direct, model), (through, "far")]
            for client, name in pairs:
                await play_round(client, name, options)  # warm
            rounds: list[tuple[Round, Round]] = []
            for at in range(options.rounds):
                order = pairs if at % 2 == 0 else pairs[::-1]
                played = [await play_round(client, name, options) for client, name in order]
                rounds.append((played[at % 2], played[1 - at % 2]))
            took_s, lost = await cancel_all(through, endless, options.cancels)
    finally:
        for tree in reversed(trees):
            tree.stop()
    return summary(rounds, took_s, lost)


def summary(rounds: Sequence[tuple[Round, Round]], took_s: Sequence[float], lost: int) -> dict[str, Any]:
    """Put figures together: ratios and differences are of the two halves of one round."""
    per_s = [(a.tokens / a.seconds, b.tokens / b.seconds) for a, b in rounds]
    first = [(statistics.median(a.first_s), statistics.median(b.first_s)) for a, b in rounds]
    cuts = statistics.quantiles(took_s, n=100, method="inclusive") if len(took_s) > 1 else [0.0] * 99
    return {
        "rounds": len(rounds),
        "streams_failed": sum(a.failed + b.failed for a, b in rounds),
        "tokens_per_s": {"direct": interval([a for a, _ in per_s]), "through": interval([b for _, b in per_s])},
        "tokens_per_s_ratio": interval([b / a for a, b in per_s]),
        "ttft_ms": {"direct": interval([a * 1e3 for a, _ in first]), "through": interval([b * 1e3 for _, b in first])},
        "ttft_added_ms": interval([(b - a) * 1e3 for a, b in first]),
        "cancels": len(took_s) + lost,
        "cancels_lost": lost,
        "cancel_ms": {name: round(cuts[at] * 1e3, 2) for name, at in (("p50", 49), ("p95", 94), ("p99", 98))}
        | {"max": round(max(took_s, default=0.0) * 1e3, 2)},
        "cancels_within_100_ms": sum(seconds <= 0.1 for seconds in took_s),
    }


def main() -> int:
    """Measure and print; 1 when a cancel was lost or a stream failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", metavar="URL", help="an OpenAI-compatible server, up to /v1 (default: our mock)")
    parser.add_argument("--model", default="default", help="its model")
    parser.add_argument("--streams", type=int, default=16)
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=6.0, help="of each half of a round, at least")
    parser.add_argument("--cancels", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="moegate-") as folder:
        found = uvloop.run(measure(options, Path(folder)))
    table = Table("figure", "value")
    for name, value in found.items():
        table.add_row(name, json.dumps(value))
    Console().print(table)
    print(json.dumps(found))
    return 1 if found["cancels_lost"] or found["streams_failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
