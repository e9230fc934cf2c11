"""A thousand streams at once through one gateway process: errors, memory, and whether any stream is starved.

`python -m loadtests.crowd [--streams 1000]` starts a mock upstream (30 tokens, one every 500 ms) and a gateway. Prints
one JSON line: failed streams, the gateway's highest memory, and the median and longest gap between the tokens of any
stream. Exits 1 if a stream fails.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Final

import orjson
import uvloop

from loadtests.client import Answer, Client, closed, http_request
from loadtests.contestants import Upstreams, ours, roomy_catalog
from loadtests.process_tree import ProcessTree
from serve.cli import raise_file_limit

TOKENS: Final = 30
GAP_MS: Final = 500


async def crowd(tree: ProcessTree, client: Client, streams: int) -> tuple[list[Answer], float]:
    """Run all at once; returns the answers and the highest memory seen, MB."""
    running = asyncio.create_task(closed(client, in_flight=streams, count=streams))
    highest = 0.0
    while not running.done():
        await asyncio.sleep(0.5)
        highest = max(highest, await asyncio.to_thread(tree.rss_bytes) / 2**20)
    return running.result(), highest


def main() -> int:
    """Run, print; 1 when a stream fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    raise_file_limit()
    with tempfile.TemporaryDirectory(prefix="moegate-crowd-") as name:
        pace = ["--tokens", str(TOKENS), "--gap-ms", str(GAP_MS)]
        upstream = ProcessTree([sys.executable, "-m", "loadtests.upstream", *pace], log=Path(name) / "upstream.log")
        target = upstream.await_line("grpc=", 30).split()[0].removeprefix("grpc=")
        catalog = roomy_catalog(Path(name), arguments.streams)
        moegate = ours(arguments.workers, catalog)[0]
        tree, port = moegate.start(Upstreams(target, ""), Path(name))
        body = {"model": "auto", "messages": [{"role": "user", "content": "Plan a weekend."}], "stream": True}
        client = Client("127.0.0.1", port, http_request("/v1/chat/completions", orjson.dumps(body), {}))
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                answers, highest = runner.run(crowd(tree, client, arguments.streams))
        finally:
            client.close()
            tree.stop()
            upstream.stop()
    failed = [answer for answer in answers if answer.status != 200 or answer.tokens != TOKENS]
    gaps = [gap for answer in answers for gap in answer.gaps_s] or [0.0]
    facts = {
        "streams": len(answers),
        "failed": len(failed),
        "failed_with": dict(Counter(f"{answer.status}, {answer.tokens} tokens" for answer in failed)),
        "rss_mb": round(highest, 1),
        "gap_median_ms": round(statistics.median(gaps) * 1e3, 1),
        "gap_max_ms": round(max(gaps) * 1e3, 1),
    }
    print(json.dumps(facts))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
