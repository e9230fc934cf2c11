"""A server that speaks OpenAI's API as it is told to, faults included: raw HTTP/1.1, to break a stream anywhere."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

Step = bytes | float
"""What is written, or for how many seconds nothing is."""


def event(content: Any = None, *, finish: str | None = None, **delta: Any) -> bytes:
    """One chunk of a chat completion."""
    delta |= {} if content is None else {"content": content}
    return frame({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


def call_event(index: int, arguments: str = "", *, name: str | None = None) -> bytes:
    """A piece of a native tool call."""
    function = {"arguments": arguments} | ({"name": name} if name else {})
    head = {"id": f"theirs{index}", "type": "function"} if name else {}
    return event(tool_calls=[{"index": index, "function": function, **head}])


def usage_event(prompt: int, completion: int) -> bytes:
    """The last chunk, where a client has asked for usage."""
    return frame({"choices": [], "usage": {"prompt_tokens": prompt, "completion_tokens": completion}})


def frame(content: Any) -> bytes:
    """Any server-sent event."""
    return b"data: " + json.dumps(content).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"


def words(*said: str, finish: str = "stop", usage: tuple[int, int] | None = None) -> list[Step]:
    """A whole answer."""
    end: list[Step] = [usage_event(*usage)] if usage else []
    return [event(role="assistant", content=""), *map(event, said), event(finish=finish), *end, DONE]


@dataclass
class Refusal:
    """An answer other than 200."""

    status: int
    body: Any = field(default_factory=lambda: {"error": {"message": "no: hello", "code": None}})
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class FakeOpenAI:
    """Plays `script` to every generating request, and `models` to who asks for the list of models.

    Attributes:
        asked: bodies of the generating requests.
        heads: their headers.
        left: monotonic seconds at which a client left before its answer was written.
        open: generating requests that are being answered.
        probes: requests for the list of models.
    """

    script: list[Step] | Refusal | Callable[[dict[str, Any]], list[Step] | Refusal] = field(default_factory=list)
    models: list[Step] | Refusal | None = None  # None = an empty list, at once
    base_url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    heads: list[dict[str, str]] = field(default_factory=list)
    left: list[float] = field(default_factory=list)
    open: int = 0
    probes: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        try:
            while await self._request(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client, or the test, is gone
        finally:
            writer.close()

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        start, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        if start.startswith("GET"):
            self.probes += 1
            models = self.models if self.models is not None else Refusal(200, {"object": "list", "data": []})
            return await self._answer(reader, writer, models)
        asked = json.loads(body)
        self.asked.append(asked)
        self.heads.append(headers)
        script = self.script(asked) if callable(self.script) else self.script
        self.open += 1
        try:
            return await self._answer(reader, writer, script)
        finally:
            self.open -= 1

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, script: list[Step] | Refusal
    ) -> bool:
        if isinstance(script, Refusal):
            body = script.body if isinstance(script.body, bytes) else json.dumps(script.body).encode()
            headers = "".join(f"{name}: {value}\r\n" for name, value in script.headers.items())
            head = f"HTTP/1.1 {script.status} X\r\ncontent-type: application/json\r\n{headers}"
            writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
            return True
        leaving = asyncio.create_task(reader.read(1))  # nothing comes before the answer's end, unless the client leaves
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
        for step in script:
            if isinstance(step, bytes):
                writer.write(step)
                await asyncio.sleep(0)
            elif (await asyncio.wait({leaving}, timeout=step))[0]:
                break
        if leaving.done() and leaving.exception() is None and leaving.result() == b"":
            self.left.append(time.monotonic())
        leaving.cancel()
        return False


@asynccontextmanager
async def openai_server(server: FakeOpenAI) -> AsyncIterator[FakeOpenAI]:
    """Run it on a free port until the `with` ends."""
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.base_url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
    try:
        yield server
    finally:
        listening.close()
