"""One tenant sends hostile requests, another ordinary traffic: what does the second one notice?

`python -m loadtests.poison --minutes 2 [--engine echo|openvino]` starts a whole moegate with two API keys. Windows with
and without hostile requests take turns. In the hostile ones the first key sends every request of `loadtests.hostile`
again and again, at `--rate` a second and through both doors. Prints a table and one JSON line last. Exits 1 unless in
those windows

* every hostile request was refused with a 4xx (gRPC: INVALID_ARGUMENT) that names its field,
* every ordinary request succeeded, and the 99th percentile of their time is at most twice that of the other
  windows and 0.1 s,
* every circuit stayed closed, and `/ready` stayed 200,
* the gateway's memory did not grow (`make soak` looks at it for twenty minutes).
"""

import argparse
import asyncio
import itertools
import json
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import grpc
import grpc.aio
import httpx2
import yaml
from rich.console import Console
from rich.table import Table

from loadtests.hostile import CHAT, HostileGrpc, HostileHttp, over_grpc, over_http
from loadtests.process_tree import ProcessTree
from protos.gateway_pb2_grpc import GatewayStub
from serve.access.keys import new_key

WINDOW_S: Final = 10.0  # with poison, without, and so on
SLACK_S: Final = 0.1  # of a p99: two cores that also send the load are not quieter than that
START_S: Final = 300.0
_HIDDEN: Final = "x-moegate-error-param"
_ASKED: Final = {"model": "auto", "max_tokens": 8, "messages": [{"role": "user", "content": "Plan a day in Lisbon."}]}


@dataclass(slots=True)
class Findings:
    """What was seen.

    Attributes:
        ordinary_s: seconds of each ordinary request, by whether its window was poisoned.
        failed: ordinary requests that did not succeed, by status.
        refused: hostile requests refused by name.
        amiss: hostile requests that were answered otherwise: their name, and what came.
        open_circuits: circuits that were seen open.
        not_ready: times that `/ready` was not 200.
        rss_mb: the gateway's memory, once a window.
    """

    ordinary_s: dict[bool, list[float]] = field(default_factory=lambda: {False: [], True: []})
    failed: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    amiss: Counter[str] = field(default_factory=Counter)
    open_circuits: set[str] = field(default_factory=set)
    not_ready: int = 0
    rss_mb: list[float] = field(default_factory=list)

    def verdict(self) -> dict[str, Any]:
        """Sum it up."""
        calm, poisoned = (_p99(self.ordinary_s[kind]) for kind in (False, True))
        holds = not (self.failed or self.amiss or self.open_circuits or self.not_ready)
        return {
            "ordinary": sum(map(len, self.ordinary_s.values())),
            "ordinary_failed": self.failed.total(),
            "p99_ms": {"calm": round(calm * 1e3, 1), "poisoned": round(poisoned * 1e3, 1)},
            "refused": self.refused,
            "amiss": dict(self.amiss.most_common(20)),
            "open_circuits": sorted(self.open_circuits),
            "not_ready": self.not_ready,
            "rss_mb": [self.rss_mb[0], self.rss_mb[-1]] if self.rss_mb else [],
            "holds": holds and poisoned <= 2 * calm + SLACK_S,
        }


class Poisoning:
    """One run against a gateway that is up."""

    def __init__(self, http: str, target: str, keys: Sequence[str]) -> None:
        """`keys`: the hostile tenant's and the ordinary one's."""
        self.findings = Findings()
        self._http = httpx2.AsyncClient(base_url=http, timeout=120, limits=httpx2.Limits(max_connections=200))
        self._channel = grpc.aio.insecure_channel(target)
        self._stub = GatewayStub(self._channel)
        self._hostile, self._ordinary = ({"authorization": f"Bearer {key}"} for key in keys)
        self._poison: Iterator[HostileHttp | HostileGrpc] = itertools.cycle([*over_http(), *over_grpc()])
        self._is_poisoned = False

    async def run(self, minutes: float, rate: float, ordinary_rate: float) -> None:
        """Send both kinds for so long."""
        await self._ask_ordinary()  # the first one pays for connections
        self.findings = Findings()
        ends_at = time.monotonic() + minutes * 60
        async with asyncio.TaskGroup() as group:
            group.create_task(self._windows(ends_at))
            group.create_task(self._send(ordinary_rate, ends_at, hostile=False))
            group.create_task(self._send(rate, ends_at, hostile=True))
        await self._http.aclose()
        await self._channel.close()

    async def _windows(self, ends_at: float) -> None:
        while time.monotonic() < ends_at:
            await self._look()
            await asyncio.sleep(min(WINDOW_S, max(0.0, ends_at - time.monotonic())))
            self._is_poisoned = not self._is_poisoned
        self._is_poisoned = False
        await self._look()

    async def _send(self, rate: float, ends_at: float, *, hostile: bool) -> None:
        """Send at a steady rate, whether or not earlier ones have been answered."""
        async with asyncio.TaskGroup() as group:
            due_at = time.monotonic()
            while due_at < ends_at:
                await asyncio.sleep(max(0.0, due_at - time.monotonic()))
                if not hostile:
                    group.create_task(self._ask_ordinary())
                elif self._is_poisoned:
                    group.create_task(self._ask_hostile(next(self._poison)))
                due_at += 1 / rate

    async def _ask_ordinary(self) -> None:
        is_poisoned, began = self._is_poisoned, time.monotonic()
        try:
            answer = await self._http.post(CHAT, json=_ASKED, headers=self._ordinary)
            status = str(answer.status_code)
        except httpx2.HTTPError as error:
            status = type(error).__name__
        self.findings.ordinary_s[is_poisoned].append(time.monotonic() - began)
        if status != "200":
            self.findings.failed[status] += 1

    async def _ask_hostile(self, poison: HostileHttp | HostileGrpc) -> None:
        try:
            if isinstance(poison, HostileHttp):
                seen = await self._over_http(poison)
            else:
                seen = await self._over_grpc(poison)
        except httpx2.HTTPError as error:
            seen = type(error).__name__
        if seen is None:
            self.findings.refused += 1
        else:
            self.findings.amiss[f"{poison.name}: {seen}"] += 1

    async def _over_http(self, poison: HostileHttp) -> str | None:
        headers = {"content-type": "application/json"} | self._hostile | poison.headers
        answer = await self._http.post(poison.path, content=poison.body, headers=headers)
        param = answer.json().get("error", {}).get("param") if answer.status_code >= 400 else None
        if 400 <= answer.status_code < 500 and answer.status_code != 429 and _names(param, poison.param):
            return None
        return f"{answer.status_code} {param}"

    async def _over_grpc(self, poison: HostileGrpc) -> str | None:
        metadata = tuple(self._hostile.items())
        try:
            async for _ in self._stub.Generate(poison.request, metadata=metadata, timeout=120):
                pass
        except grpc.aio.AioRpcError as error:
            trailers = {str(name): str(value) for name, value in error.trailing_metadata() or ()}
            param = trailers.get(_HIDDEN)
            if error.code() is grpc.StatusCode.INVALID_ARGUMENT and _names(param, poison.param):
                return None
            return f"{error.code().name} {param}"
        return "OK"

    async def _look(self) -> None:
        """Look at circuits, readiness and memory."""
        page = (await self._http.get("/metrics", headers=self._ordinary)).text
        for line in page.splitlines():
            if line.startswith("moegate_circuit_state{") and not line.endswith(" 0.0"):
                self.findings.open_circuits.add(line.partition('expert="')[2].partition('"')[0])
            if line.startswith("process_resident_memory_bytes "):
                self.findings.rss_mb.append(round(float(line.split()[1]) / 2**20, 1))
        if (await self._http.get("/ready")).status_code != 200:
            self.findings.not_ready += 1


def _names(said: str | None, wanted: str | None) -> bool:
    """Whether a refusal names the field, or something inside it."""
    return wanted is None or (said is not None and said.startswith(wanted))


def _p99(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=100)[98] if len(values) > 1 else 0.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print; 1 when something does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--rate", type=float, default=20.0, help="hostile requests a second")
    parser.add_argument("--ordinary-rate", type=float, default=4.0, help="ordinary requests a second")
    parser.add_argument("--engine", choices=["echo", "openvino"], default="echo")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="moegate-poison-") as name:
        findings = poison(Path(name), options.engine, options.minutes, options.rate, options.ordinary_rate)
    verdict = findings.verdict()
    _tell(verdict)
    print(json.dumps(verdict))
    return 0 if verdict["holds"] else 1


def poison(folder: Path, engine: str, minutes: float, rate: float, ordinary_rate: float) -> Findings:
    """Start a moegate in `folder`, poison it for so many minutes, stop it."""
    keys = [new_key() for _ in range(2)]
    named = [{"name": name, "sha256": digest} for name, (_, digest) in zip(("hostile", "ordinary"), keys, strict=True)]
    config = folder / "gateway.yaml"
    config.write_text(yaml.safe_dump({"access": {"keys": named}}))
    command = [sys.executable, "-m", "serve.cli", "up", "--port", "0", "--grpc-port", "0", "--engine", engine]
    tree = ProcessTree([*command, "--config", str(config)], log=folder / "up.log")
    try:
        line = tree.await_line("ready: HTTP http://", START_S)
        http, _, grpc_address = line.partition("http://")[2].partition(", gRPC ")
        secrets = [key for key, _ in keys]
        return asyncio.run(_poisoned(f"http://{http}", grpc_address.strip(), secrets, minutes, rate, ordinary_rate))
    finally:
        tree.stop()


async def _poisoned(
    http: str, target: str, keys: Sequence[str], minutes: float, rate: float, ordinary_rate: float
) -> Findings:
    poisoning = Poisoning(http, target, keys)
    await poisoning.run(minutes, rate, ordinary_rate)
    return poisoning.findings


def _tell(verdict: dict[str, Any]) -> None:
    table = Table("what", "seen")
    for name, value in verdict.items():
        table.add_row(name, json.dumps(value))
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
