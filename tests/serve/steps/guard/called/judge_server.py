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
    raw: bytes | None = None  # sent as it stands, in place of an answer
    asked: list[dict[str, Any]] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    connections: int = 0
    url: str = ""
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
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
                await asyncio.sleep(self.wait_s)
                body = orjson.dumps(self.answer(self.asked[-1]))
                whole = f"HTTP/1.1 {self.status} X\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body
                writer.write(whole if self.raw is None else self.raw)
                await writer.drain()
                if self.closes or self.raw is not None:
                    return
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            return
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


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
