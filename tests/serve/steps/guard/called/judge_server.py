"""A small real HTTP server that judges texts, in whatever way a test wants."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson

Answer = Callable[[dict[str, Any]], object]


@dataclass
class JudgeServer:
    """What it was asked, and what it answers."""

    answer: Answer
    status: int = 200
    wait_s: float = 0.0
    closes: bool = False  # each connection, after one answer
    drops: int = 0  # so many requests from now on are read and get no answer: the connection is closed
    raw: bytes | None = None  # sent as it stands, in place of an answer
    asked: list[dict[str, Any]] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    connections: int = 0
    open: int = 0  # connections that the other side has not closed
    url: str = ""
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = next(
                    int(line.split(":")[1]) for line in head.lower().split("\r\n") if "content-length" in line
                )
                self.heads.append(head)
                self.asked.append(orjson.loads(await reader.readexactly(length)))
                if self.drops or await self._is_left(reader):
                    self.drops = max(0, self.drops - 1)
                    return
                body = orjson.dumps(self.answer(self.asked[-1]))
                whole = f"HTTP/1.1 {self.status} X\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body
                writer.write(whole if self.raw is None else self.raw)
                await writer.drain()
                if self.closes or self.raw is not None:
                    return
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            return
        finally:
            self.open -= 1
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _is_left(self, reader: asyncio.StreamReader) -> bool:
        """Wait as long as an answer takes; tell whether who asked has gone meanwhile."""
        if not self.wait_s:
            return False
        with contextlib.suppress(TimeoutError):
            return not await asyncio.wait_for(reader.read(1), self.wait_s)
        return False


@asynccontextmanager
async def judge_server(answer: Answer, **fields: Any) -> AsyncIterator[JudgeServer]:
    """Run one on a port of its own."""
    judge = JudgeServer(answer, **fields)
    server = await asyncio.start_server(judge.serve, "127.0.0.1", 0)
    judge.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield judge
    finally:
        server.close()
        for task in judge.tasks:
            task.cancel()
        await asyncio.gather(*judge.tasks, return_exceptions=True)
        await server.wait_closed()
