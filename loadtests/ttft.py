"""Time to first token: through moegate's HTTP door, and from a bare OpenVINO pipeline, turn by turn in one run.

`python -m loadtests.ttft --gguf FILE [--url URL] [--rounds N]`, with `moegate up` running. Both answer the same short
conversation, new words each round; the client's clock runs from the request's first byte to the first token's arrival.
Prints a table for people and one JSON line last.
"""

import argparse
import http.client
import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

import orjson
from rich.console import Console
from rich.progress import track
from rich.table import Table

SYSTEM: Final = "You are a helpful assistant."
WORDS: Final = ["river", "stone", "maple", "cloud", "ember", "silver", "meadow", "harbour", "lantern", "orchard"]


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gguf", required=True, help="the expert's weights")
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--model", default="generalist", help="the expert to ask")
    parser.add_argument("--rounds", type=int, default=40)
    arguments = parser.parse_args()

    bare = _bare_pipeline(arguments.gguf)
    door = _http_door(arguments.url, arguments.model)
    for i in range(5):
        bare(_words(i)), door(_words(i))
    taken: dict[str, list[float]] = {"bare": [], "http": []}
    for i in track(range(arguments.rounds), description="rounds", console=Console(stderr=True)):
        taken["bare"].append(bare(_words(i + 100)))
        taken["http"].append(door(_words(i + 200)))
    summary = {name: _summary(values) for name, values in taken.items()}
    added_ms = summary["http"]["p50_ms"] - summary["bare"]["p50_ms"]
    _print(summary, added_ms)
    print(json.dumps({"rounds": arguments.rounds, **summary, "added_p50_ms": round(added_ms, 2)}))
    return 0


def _words(i: int) -> str:
    """A short question, the same length each time, other words."""
    return f"Say one sentence about {WORDS[i % 10]} and {WORDS[i // 10 % 10]}."


def _messages(text: str) -> list[dict[str, str]]:
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": text}]


def _bare_pipeline(gguf: str) -> Callable[[str], float]:
    """The pipeline by itself, as its own samples drive it. Returns seconds to the first token of a text."""
    import openvino_genai as genai  # noqa: PLC0415  # only this measurement needs it

    scheduler = genai.SchedulerConfig()
    scheduler.cache_size = 0
    pipeline = genai.ContinuousBatchingPipeline(gguf, scheduler, "CPU", {})
    tokenizer = pipeline.get_tokenizer()
    config = genai.GenerationConfig(max_new_tokens=4, apply_chat_template=False)
    config.set_eos_token_id(tokenizer.get_eos_token_id())
    ids = iter(range(sys.maxsize))

    def measure(text: str) -> float:
        began = time.perf_counter()
        prompt = tokenizer.apply_chat_template(_messages(text), add_generation_prompt=True)
        tokens = tokenizer.encode(prompt, add_special_tokens=False).input_ids
        handle = pipeline.add_request(next(ids), tokens, config)
        while not handle.can_read():
            pipeline.step()
        taken = time.perf_counter() - began
        handle.cancel()
        while pipeline.has_non_finished_requests():
            pipeline.step()
        return taken

    return measure


def _http_door(url: str, model: str) -> Callable[[str], float]:
    """The HTTP door, over one kept connection. Returns seconds to the first token of a text."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "127.0.0.1", address.port or 80)

    def measure(text: str) -> float:
        body: dict[str, Any] = {"model": model, "messages": _messages(text), "max_tokens": 4, "temperature": 0}
        raw = orjson.dumps(body | {"stream": True})
        began = time.perf_counter()
        connection.request("POST", "/v1/chat/completions", raw, {"content-type": "application/json"})
        response = connection.getresponse()
        while b'"content":"' not in (line := response.readline()) or b'"content":""' in line:
            pass
        taken = time.perf_counter() - began
        response.read()
        return taken

    return measure


def _summary(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {
        "p50_ms": round(statistics.median(ordered) * 1e3, 2),
        "p90_ms": round(ordered[int(len(ordered) * 0.9)] * 1e3, 2),
        "min_ms": round(ordered[0] * 1e3, 2),
        "max_ms": round(ordered[-1] * 1e3, 2),
    }


def _print(summary: dict[str, dict[str, float]], added_ms: float) -> None:
    table = Table("time to first token", "p50 ms", "p90 ms", "min ms", "max ms")
    for name, row in summary.items():
        table.add_row(name, *(f"{value:.2f}" for value in row.values()))
    console = Console(stderr=True)
    console.print(table)
    console.print(f"moegate adds {added_ms:.2f} ms at the median")


if __name__ == "__main__":
    sys.exit(main())
