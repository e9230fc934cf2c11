"""What a call to an expert costs by client: `serve.expert_client.h2`, `grpc.aio` and, after `pip install h2`, hyper-h2.

`python -m loadtests.h2_clients` starts an echo server in another process. The clients take turns in this one, round by
round. It measures CPU seconds of this process (user and system, all threads) a call, as medians over the rounds. No
client parses messages: only the transports differ. We maintain our own client; this shows what that gains.
"""

import argparse
import asyncio
import multiprocessing
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Final, Protocol

import grpc.aio
import uvloop

from serve.expert_client.h2.frames import header, request_head
from serve.expert_client.h2.pool import Pool

METHOD: Final = "/echo.Echo/Stream"
TIMEOUT_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Case:
    """What is asked: `messages` of `size` bytes, `gap_ms` apart; `calls` a round, so many `at_once`."""

    name: str
    messages: int
    gap_ms: int
    calls: int
    at_once: int
    size: int = 64

    @property
    def request(self) -> bytes:
        """The request, which the server obeys."""
        return b"%d %d " % (self.messages, self.gap_ms) + b"x" * self.size


CASES: Final = (
    Case("small call", 1, 0, calls=400, at_once=16),
    Case("50 messages, ready together", 50, 0, calls=80, at_once=16),
    Case("50 messages, each alone", 50, 5, calls=80, at_once=16),
)


class Client(Protocol):
    """One way to make a call."""

    async def call(self, request: bytes) -> int:
        """Make it and read it to its end; returns how many messages came."""
        ...

    async def close(self) -> None:
        """Close the connection."""
        ...


class Ours:
    """`serve/h2`, as `serve.expert_client.channel` uses it."""

    def __init__(self, port: int) -> None:
        self._pool = Pool("127.0.0.1", port, size=1, connect_within_s=5)
        self._head = request_head(METHOD, f"127.0.0.1:{port}") + header(b"application", b"echo")
        self._head += header(b"grpc-timeout", b"60000m")

    async def call(self, request: bytes) -> int:
        """Make one call and read it to its end; return how many messages came."""
        call = (await self._pool.take()).call(self._head, request, bytes, timeout_s=TIMEOUT_S)
        count = 0
        while await call.read() is not None:
            count += 1
        return count

    async def close(self) -> None:
        """Close the connection."""
        self._pool.close()


class GrpcAio:
    """`grpc.aio`."""

    def __init__(self, port: int) -> None:
        self._channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
        self._method: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = self._channel.unary_stream(METHOD)

    async def call(self, request: bytes) -> int:
        """Make one call and read it to its end; return how many messages came."""
        count = 0
        async for _ in self._method(request, timeout=TIMEOUT_S, metadata=(("application", "echo"),)):
            count += 1
        return count

    async def close(self) -> None:
        """Close the connection."""
        await self._channel.close()


class Echo(grpc.GenericRpcHandler):
    """Answers a request with itself, as often and as slowly as it says."""

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:  # type: ignore[type-arg]
        """One handler for every method."""
        return grpc.unary_stream_rpc_method_handler(self._answer)

    async def _answer(self, request: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[bytes]:
        messages, gap_ms, payload = request.split(b" ", 2)
        for _ in range(int(messages)):
            if gap_ms != b"0":
                await asyncio.sleep(int(gap_ms) / 1e3)
            yield payload


def serve_echo(ready: Connection) -> None:
    """Run the server until its process is ended; tells its port."""

    async def serve() -> None:
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((Echo(),))
        ready.send(server.add_insecure_port("127.0.0.1:0"))
        await server.start()
        await server.wait_for_termination()

    uvloop.run(serve())


async def cpu_per_call(client: Client, case: Case, clock: Callable[[], float] = time.process_time) -> float:
    """Make a round of calls; returns CPU seconds a call.

    Raises:
        RuntimeError: an answer is not what was asked for.
    """
    left = iter(range(case.calls))

    async def ask() -> None:
        for _ in left:
            if await client.call(case.request) != case.messages:
                raise RuntimeError(f"{type(client).__name__} lost messages")

    began = clock()
    await asyncio.gather(*(ask() for _ in range(case.at_once)))
    return (clock() - began) / case.calls


def known_clients() -> dict[str, Callable[[int], Client]]:
    """Who is compared: ours first."""
    clients: dict[str, Callable[[int], Client]] = {"serve/h2": Ours, "grpc.aio": GrpcAio}
    try:
        from loadtests.hyper_h2 import HyperH2  # noqa: PLC0415  # its library is optional

        clients["hyper-h2"] = HyperH2
    except ImportError:
        pass
    return clients


async def compare(port: int, rounds: int, cases: Sequence[Case] = CASES) -> dict[str, dict[str, list[float]]]:
    """CPU seconds a call, by case and client, a figure a round; the first, unmeasured round warms up."""
    clients = {name: make(port) for name, make in known_clients().items()}
    seen: dict[str, dict[str, list[float]]] = {case.name: {name: [] for name in clients} for case in cases}
    for number in range(rounds + 1):
        for case in cases:
            for name, client in clients.items():
                cost = await cpu_per_call(client, case)
                if number:
                    seen[case.name][name].append(cost)
    closing: list[Awaitable[None]] = [client.close() for client in clients.values()]
    await asyncio.gather(*closing)
    return seen


def table(seen: dict[str, dict[str, list[float]]]) -> str:
    """The comparison in Markdown: medians (and extremes) in microseconds, ratios to ours."""
    lines = ["| call | client | CPU µs a call: median (least, most) | x ours |", "|---|---|---|---|"]
    for case, costs in seen.items():
        ours = statistics.median(costs["serve/h2"])
        for name, values in costs.items():
            median = statistics.median(values)
            spread = f"{median * 1e6:.0f} ({min(values) * 1e6:.0f}, {max(values) * 1e6:.0f})"
            lines.append(f"| {case} | {name} | {spread} | {median / ours:.2f} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.h2_clients", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="of each client and case (default: 7)")
    options = parser.parse_args(arguments)
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    server = spawn.Process(target=serve_echo, args=(theirs,), daemon=True)
    server.start()
    try:
        print(table(uvloop.run(compare(ours.recv(), options.rounds))))
    finally:
        server.terminate()
        server.join()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
