"""An expert through moegate's HTTP door, compared with the bare OpenVINO pipeline: first token and tokens a second.

`python -m loadtests.beside_bare [--model generalist] [--streams 1 16 32] [--rounds N]`, with `moegate up` running and
nothing else. Both answer the same short conversations in turns, greedily, so many at once; each round has new words.
The clock starts with the first request's first byte. A stream's first token is the client's. A round's speed is its
tokens over the time until its last one. The bare pipeline is driven as its own samples drive it, with its defaults.
Prints a table and one JSON line last.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import statistics
import sys
import time
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import orjson
from rich.console import Console
from rich.progress import track
from rich.table import Table

from experts.catalog.spec import default_path, load_catalog
from experts.cluster.deployment_options import find_weights

SYSTEM: Final = "You are a helpful assistant."
WORDS: Final = ["river", "stone", "maple", "cloud", "ember", "silver", "meadow", "harbour", "lantern", "orchard"]


@dataclass(frozen=True, slots=True)
class Round:
    """What one round took: seconds to each stream's first token, tokens in all, seconds until the last one."""

    first_s: list[float]
    tokens: int
    took_s: float


class Side(Protocol):
    """Something that answers."""

    def __call__(self, texts: list[str], max_tokens: int) -> Round:
        """Answer all texts at once."""
        ...


class BarePipeline:
    """The pipeline by itself."""

    def __init__(self, gguf: str) -> None:
        import openvino_genai as genai  # noqa: PLC0415  # only this measurement needs it

        scheduler = genai.SchedulerConfig()
        scheduler.cache_size = 0  # grows with use, as the expert's
        self._genai = genai
        self._pipeline = genai.ContinuousBatchingPipeline(gguf, scheduler, "CPU", {})
        self._tokenizer = self._pipeline.get_tokenizer()
        self._ids = itertools.count()

    def __call__(self, texts: list[str], max_tokens: int) -> Round:
        """Answer all texts at once."""
        began = time.perf_counter()
        config = self._genai.GenerationConfig(max_new_tokens=max_tokens, apply_chat_template=False)
        config.set_eos_token_id(self._tokenizer.get_eos_token_id())
        waiting: dict[int, Any] = {}
        for text in texts:
            prompt = self._tokenizer.apply_chat_template(_messages(text), add_generation_prompt=True)
            ids = self._tokenizer.encode(prompt, add_special_tokens=False).input_ids
            waiting[len(waiting)] = self._pipeline.add_request(next(self._ids), ids, config)
        handles, first_s, tokens = dict(waiting), [], 0
        while self._pipeline.has_non_finished_requests():
            self._pipeline.step()
            for number, handle in handles.items():
                if not handle.can_read():
                    continue
                if waiting.pop(number, None) is not None:
                    first_s.append(time.perf_counter() - began)
                tokens += sum(len(output.generated_ids) for output in handle.read().values())
        return Round(first_s, tokens, time.perf_counter() - began)


class HttpDoor:
    """moegate, a connection a stream, kept from round to round."""

    def __init__(self, url: str, model: str) -> None:
        address = urlsplit(url)
        self._address = (address.hostname or "127.0.0.1", address.port or 80)
        self._model = model
        self._runner = asyncio.Runner()
        self._connections: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    def __call__(self, texts: list[str], max_tokens: int) -> Round:
        """Answer all texts at once."""
        return self._runner.run(self._round(texts, max_tokens))

    async def _round(self, texts: list[str], max_tokens: int) -> Round:
        while len(self._connections) < len(texts):
            self._connections.append(await asyncio.open_connection(*self._address, limit=2**20))
        began = time.perf_counter()
        asked = zip(self._connections, texts, strict=False)
        answers = await asyncio.gather(*(self._ask(*connection, text, max_tokens) for connection, text in asked))
        took_s = time.perf_counter() - began
        return Round([first_at - began for first_at, _ in answers], sum(count for _, count in answers), took_s)

    async def _ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, text: str, max_tokens: int
    ) -> tuple[float, int]:
        """Ask for one answer; returns when its first token came, and how many there were."""
        body: dict[str, Any] = {"model": self._model, "messages": _messages(text), "max_tokens": max_tokens}
        body |= {"temperature": 0, "frequency_penalty": 0, "stream": True, "stream_options": {"include_usage": True}}
        raw = orjson.dumps(body)
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: loadtest\r\ncontent-length: {len(raw)}\r\n"
        writer.write(head.encode() + b"content-type: application/json\r\n\r\n" + raw)
        answer, first_at = b"", 0.0
        while not answer.endswith(b"0\r\n\r\n"):
            piece = await reader.read(2**16)
            if not piece:
                raise ConnectionError("the connection was closed")
            answer += piece
            if not first_at and _has_text(piece):
                first_at = time.perf_counter()
        if not answer.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"answered {answer[:12].decode()}")
        usage = answer.rpartition(b'"completion_tokens":')[2]
        return first_at, int(usage[: next(i for i, byte in enumerate(usage) if not 48 <= byte <= 57)])


def _has_text(piece: bytes) -> bool:
    """Whether a piece of a stream carries a token: some content that is not empty."""
    return piece.count(b'"content":"') > piece.count(b'"content":""')


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--model", default="generalist", help="the expert of the catalogue to ask")
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 16, 32], help="at once")
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=10, help="of 16 streams; of one stream, six times as many")
    arguments = parser.parse_args()

    expert = load_catalog(default_path()).get(arguments.model)
    weights = find_weights(expert) if expert else None
    if weights is None:
        parser.error(f"the catalogue has no expert {arguments.model!r} with weights of its own")
    sides: dict[str, Side] = {
        "bare": BarePipeline(weights.path),
        "http": HttpDoor(arguments.url, arguments.model),
    }
    table = Table("streams", "", "first token p50 ms", "p90 ms", "tokens a second", "least", "most")
    facts = []
    for streams in arguments.streams:
        rounds = arguments.rounds * (6 if streams == 1 else 1)
        taken = _measure(sides, streams, rounds, arguments.max_tokens)
        facts.append({"streams": streams, "rounds": rounds, **_compare(taken)})
        for name, row in taken.items():
            first = sorted(value * 1e3 for one in row for value in one.first_s)
            speeds = sorted(one.tokens / one.took_s for one in row)
            figures = [statistics.median(first), first[int(len(first) * 0.9)], statistics.median(speeds)]
            table.add_row(str(streams), name, *(f"{value:.1f}" for value in [*figures, speeds[0], speeds[-1]]))
    Console(stderr=True).print(table)
    print(json.dumps(facts))
    return 0


def _measure(sides: dict[str, Side], streams: int, rounds: int, max_tokens: int) -> dict[str, list[Round]]:
    """Let the sides take turns, after a round to warm up."""
    texts = (_words(number) for number in itertools.count())
    taken: dict[str, list[Round]] = {name: [] for name in sides}
    for number in track(range(-1, rounds), description=f"{streams} at once", console=Console(stderr=True)):
        batch = list(itertools.islice(texts, streams))
        for name, answer in sides.items():
            one = answer(batch, max_tokens)
            if number >= 0:
                taken[name].append(one)
    return taken


def _compare(taken: dict[str, list[Round]]) -> dict[str, float]:
    """The figures that have bars: how much later the first token is, which share of the speed is left; turn by turn."""
    turns = list(zip(taken["http"], taken["bare"], strict=True))
    first_s = [(statistics.median(door.first_s), statistics.median(bare.first_s)) for door, bare in turns]
    shares = [(door.tokens / door.took_s) / (bare.tokens / bare.took_s) for door, bare in turns]
    return {
        "first_added_ms": round(statistics.median(door - bare for door, bare in first_s) * 1e3, 2),
        "first_ratio": round(statistics.median(door / bare for door, bare in first_s), 3),
        "speed_share": round(statistics.median(shares), 3),
    }


def _words(i: int) -> str:
    """A short request, the same length each time, other words."""
    return f"Write a story about {WORDS[i % 10]} and {WORDS[i // 10 % 10]}, number {i % 1000:03}."


def _messages(text: str) -> list[dict[str, str]]:
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": text}]


if __name__ == "__main__":
    sys.exit(main())
