"""HTTP/1.1 by hand: requests written byte by byte, answers read off the wire and counted."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import orjson

from serve.app import App
from tests.helpers import CHAT


@dataclass(frozen=True)
class Received:
    """One answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


@asynccontextmanager
async def connected(app: App) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    host, _, port = app.http_address.rpartition(":")
    reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    try:
        async with asyncio.timeout(60):
            yield reader, writer
    finally:
        writer.close()


def chat(content: str = "hello", **fields: Any) -> bytes:
    return orjson.dumps({"model": "coder", "messages": [{"role": "user", "content": content}], **fields})


def post(body: bytes, *lines: str, chunks: Sequence[int] | None = None, path: str = CHAT) -> bytes:
    """A request; with `chunks` its body goes in chunks that end at these places."""
    head = [f"POST {path} HTTP/1.1", "Host: gateway", "Content-Type: application/json", *lines]
    if chunks is None:
        return "\r\n".join([*head, f"Content-Length: {len(body)}", "", ""]).encode() + body
    borders = sorted({0, len(body), *(border % (len(body) + 1) for border in chunks)})
    pieces = [body[a:b] for a, b in pairwise(borders)]
    framed = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces if piece)
    return "\r\n".join([*head, "Transfer-Encoding: chunked", "", ""]).encode() + framed + b"0\r\n\r\n"


def cut(data: bytes, borders: Sequence[int]) -> list[bytes]:
    """The packets of `data` that end at `borders`."""
    places = sorted({0, len(data), *(border % (len(data) + 1) for border in borders)})
    return [data[a:b] for a, b in pairwise(places)]


async def send(writer: asyncio.StreamWriter, packets: Sequence[bytes]) -> None:
    """Write packets so that each is a read of its own at the other end: the loops take turns in between."""
    for packet in packets:
        writer.write(packet)
        await writer.drain()
        for _ in range(3):
            await asyncio.sleep(0)


async def receive(reader: asyncio.StreamReader) -> Received:
    """One answer."""
    top = (await reader.readuntil(b"\r\n\r\n")).decode()
    status, *lines = top.split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while size := int(await reader.readuntil(b"\r\n"), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readexactly(2)
    else:
        body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Received(int(status.split(" ")[1]), headers, body)


async def silent(reader: asyncio.StreamReader, seconds: float = 0.05) -> bool:
    """Whether nothing more comes."""
    try:
        async with asyncio.timeout(seconds):
            return await reader.read(1) == b""
    except TimeoutError:
        return True
