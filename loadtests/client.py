"""The load generator: many raw HTTP/1.1 connections with their own clocks.

Open loop (`offered`): requests are sent when they are due, whether or not earlier ones have been answered. A latency
counts from the moment when the request was due, so that a slow server cannot hide its queue. Closed loop (`closed`): a
fixed number in flight, for saturation. `loadtests.bench` and `loadtests.soak` use it. It must cost much less than what
it measures, so it parses no more of an answer than it needs.
"""

import asyncio
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, cast

_MOST_CONNECTIONS: Final = 2000  # beyond, requests wait their turn, and their latency counts it
_TOKEN: Final = b"tok "  # every token of the mock upstream, `loadtests.upstream`


@dataclass(slots=True)
class Answer:
    """One request as its client saw it; seconds on the client's clock.

    Attributes:
        due_at: when it should have left.
        status: HTTP status; 0 = no answer.
        first_s: from `due_at` to the first token (a whole answer's first byte).
        total_s: from `due_at` to the end.
        tokens: tokens received.
        gaps_s: seconds between arrivals of tokens.
        is_complete: it ended as it should.
    """

    due_at: float
    status: int = 0
    first_s: float = 0.0
    total_s: float = 0.0
    tokens: int = 0
    gaps_s: list[float] = field(default_factory=list)
    is_complete: bool = False


class _Connection(asyncio.Protocol):
    """One connection; one request at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self._done: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is closed; a request under way has no whole answer."""
        self.transport = None
        self._finish()

    async def ask(self, raw: bytes, answer: Answer) -> None:
        """Send a request and follow its answer to the end."""
        assert self.transport is not None
        self._answer, self._last_at = answer, 0.0
        self._head, self._left, self._is_chunked, self._tail = b"", -1, False, b""
        self._done = asyncio.get_running_loop().create_future()
        self.transport.write(raw)
        await self._done

    def data_received(self, data: bytes) -> None:
        """Take in a piece of the answer."""
        if not self._answer.status:
            self._head += data
            head, found, data = self._head.partition(b"\r\n\r\n")
            if not found:
                return
            self._read_head(head)
        self._read_body(data)

    def _read_head(self, head: bytes) -> None:
        lower = head.lower()
        self._answer.status = int(head[9:12])
        self._is_chunked = b"transfer-encoding: chunked" in lower
        if not self._is_chunked:
            self._left = int(lower.partition(b"content-length:")[2].split(b"\r\n")[0] or 0)

    def _read_body(self, data: bytes) -> None:
        answer, now = self._answer, time.perf_counter()
        if count := data.count(_TOKEN):
            if answer.tokens:
                answer.gaps_s.append(now - self._last_at)
            else:
                answer.first_s = now - answer.due_at
            answer.tokens += count
            self._last_at = now
        if self._is_chunked:
            self._tail = (self._tail + data)[-24:]
            is_over = self._tail.endswith(b"0\r\n\r\n")
        else:
            self._left -= len(data)
            is_over = self._left <= 0
        if is_over:
            answer.total_s = now - answer.due_at
            answer.is_complete = True
            self._finish()

    def _finish(self) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_result(None)


class Client:
    """Speaks to one server over as many connections as are needed at once."""

    def __init__(self, host: str, port: int, raw: bytes) -> None:
        self._address = (host, port)
        self._raw = raw
        self._idle: list[_Connection] = []
        self._busy: set[_Connection] = set()
        self._room = asyncio.Semaphore(_MOST_CONNECTIONS)

    async def ask(self, due_at: float) -> Answer:
        """Send the request now; it was due at `due_at`."""
        answer = Answer(due_at)
        async with self._room:
            try:
                connection = await self._take()
            except OSError:
                return answer
            self._busy.add(connection)
            await connection.ask(self._raw, answer)
            self._busy.discard(connection)
            if connection.transport is not None:
                self._idle.append(connection)
        return answer

    async def _take(self) -> _Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.transport is not None:
                return connection
        _, connection = await asyncio.get_running_loop().create_connection(_Connection, *self._address)
        return connection

    def abort(self) -> None:
        """Leave in the middle of every answer that is still coming."""
        while self._busy:
            connection = self._busy.pop()
            if connection.transport is not None:
                connection.transport.abort()

    def close(self) -> None:
        """Close what is idle."""
        for connection in self._idle:
            if connection.transport is not None:
                connection.transport.close()


async def offered(client: Client, *, rate: float, seconds: float, seed: int) -> list[Answer]:
    """Open loop: Poisson arrivals at `rate` a second for so many seconds; waits for the last answer."""
    began = time.perf_counter()
    tasks = []
    for offset_s in _arrivals(rate, seconds, random.Random(seed)):
        due_at = began + offset_s
        await asyncio.sleep(max(0.0, due_at - time.perf_counter()))
        tasks.append(asyncio.create_task(client.ask(due_at)))
    return list(await asyncio.gather(*tasks))


async def closed(client: Client, *, in_flight: int, count: int) -> list[Answer]:
    """Closed loop: `count` requests, `in_flight` of them at once."""
    numbers = iter(range(count))

    async def work() -> list[Answer]:
        return [await client.ask(time.perf_counter()) for _ in numbers]

    return [answer for answers in await asyncio.gather(*(work() for _ in range(in_flight))) for answer in answers]


def _arrivals(rate: float, seconds: float, rng: random.Random) -> Iterator[float]:
    at = rng.expovariate(rate)
    while at < seconds:
        yield at
        at += rng.expovariate(rate)


def http_request(path: str, body: bytes, headers: dict[str, str]) -> bytes:
    """The bytes of a POST."""
    lines = [f"POST {path} HTTP/1.1", "host: bench", "content-type: application/json", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
