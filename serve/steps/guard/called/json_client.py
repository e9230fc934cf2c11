"""One POST of JSON over HTTP/1.1 on a connection that is kept, without a client library in the gateway.

The caller gives the deadline, by a timeout around the call: whatever is open then is closed.
"""

import asyncio
import ssl
from collections import deque
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import SplitResult, urlsplit

import httptools
import orjson

MAX_BYTES: Final = 1 << 20  # of an answer
_IDLE: Final = 8  # connections that are kept
_PIECE: Final = 65_536


class CallFailed(Exception):
    """The service could not be asked, or gave no answer of use; the message holds none of the text."""


@dataclass(slots=True)
class _Answer:
    """Collects one answer; `httptools` calls its methods."""

    status: int = 0
    body: bytearray = field(default_factory=bytearray)
    is_whole: bool = False
    keeps: bool = False  # the connection stays open; only known while the message ends
    parser: httptools.HttpResponseParser = field(init=False)

    def __post_init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)

    def on_body(self, piece: bytes) -> None:
        """Take a piece of the body."""
        self.body += piece

    def on_message_complete(self) -> None:
        """It has ended."""
        self.is_whole, self.status, self.keeps = True, self.parser.get_status_code(), self.parser.should_keep_alive()


class JsonClient:
    """Posts to one address."""

    def __init__(self, url: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        """`headers` go with every request."""
        self._url: SplitResult = urlsplit(url)
        target = self._url.path or "/"
        self._head = "\r\n".join(
            (
                f"POST {target}{'?' + self._url.query if self._url.query else ''} HTTP/1.1",
                f"host: {self._url.netloc.rpartition('@')[2]}",
                "content-type: application/json",
                "accept: application/json",
                *(f"{name}: {value}" for name, value in headers),
            )
        )
        self._idle: deque[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = deque()
        self._keeps = True

    async def post(self, body: object) -> object:
        """Post a body; returns the answer's.

        Raises:
            CallFailed: the service could not be reached, said no, or did not answer in JSON.
        """
        raw = orjson.dumps(body)
        try:
            answer = await self._exchange(f"{self._head}\r\ncontent-length: {len(raw)}\r\n\r\n".encode() + raw)
        except (OSError, httptools.HttpParserError, asyncio.IncompleteReadError) as error:
            raise CallFailed(type(error).__name__) from None
        if not 200 <= answer.status < 300:
            raise CallFailed(f"status {answer.status}")
        try:
            return orjson.loads(bytes(answer.body))
        except orjson.JSONDecodeError:
            raise CallFailed("its answer is not JSON") from None

    def close(self) -> None:
        """Close what is kept, and keep nothing from now on."""
        self._keeps = False
        while self._idle:
            self._idle.pop()[1].close()

    async def _exchange(self, request: bytes) -> _Answer:
        while self._idle:  # one that the other side has closed meanwhile tells nothing about the service
            reader, writer = self._idle.pop()
            if not writer.is_closing() and not reader.at_eof():
                answer = await self._ask(reader, writer, request)
                if answer is not None:
                    return answer
        reader, writer = await self._connect()
        answer = await self._ask(reader, writer, request)
        if answer is None:
            raise CallFailed("it closed the connection")
        return answer

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        is_tls = self._url.scheme == "https"
        port = self._url.port or (443 if is_tls else 80)
        return await asyncio.open_connection(
            self._url.hostname, port, ssl=ssl.create_default_context() if is_tls else None
        )

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> _Answer | None:
        """Ask on a connection; None where it was closed before a byte of the answer."""
        answer, is_kept, has_begun = _Answer(), False, False
        try:
            writer.write(request)
            await writer.drain()
            while not answer.is_whole:
                piece = await reader.read(_PIECE)
                if not piece:
                    if has_begun:
                        raise CallFailed("its answer is cut off")
                    return None
                has_begun = True
                answer.parser.feed_data(piece)
                if len(answer.body) > MAX_BYTES:
                    raise CallFailed(f"its answer is over {MAX_BYTES} bytes")
            is_kept = answer.keeps and self._keeps and len(self._idle) < _IDLE
            return answer
        except ConnectionResetError:
            if has_begun:
                raise
            return None
        finally:
            if is_kept:
                self._idle.append((reader, writer))
            else:
                writer.close()
