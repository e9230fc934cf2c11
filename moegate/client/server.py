"""Who is asked: any server with OpenAI's chat completions, through the official client or Python's own HTTP.

Both give an answer as it comes, in OpenAI's `chat.completion.chunk`s; a server that answers whole gives one
`chat.completion`.
"""

import asyncio
import contextlib
import json
import threading
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any, Final, Protocol

Json = Mapping[str, Any]
_END: Final = object()
_ERROR_BYTES: Final = 2_000


class ServerError(Exception):
    """The server refused or failed.

    Attributes:
        status: HTTP's; 0 where the server could not be reached or broke off.
    """

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class Server(Protocol):
    """Answers requests."""

    def answer(self, request: Json) -> AsyncIterator[Json]:
        """Yield an answer's chunks, or one whole answer.

        Raises:
            ServerError: there is none, or it broke off.
        """
        ...


class HttpServer:
    """A server by its address; streams."""

    def __init__(self, base_url: str, api_key: str = "", *, timeout_s: float = 120.0) -> None:
        """`base_url` ends in `/v1`; `timeout_s` is how long the server may be silent."""
        if not base_url.startswith(("http://", "https://")):
            raise ValueError("base_url must begin with http:// or https://")
        self._url = f"{base_url.rstrip('/')}/chat/completions"
        self._headers = {"content-type": "application/json", "authorization": f"Bearer {api_key or 'none'}"}
        self._timeout_s = timeout_s

    async def answer(self, request: Json) -> AsyncIterator[Json]:
        """Ask, and yield the stream's chunks."""
        body = json.dumps({**request, "stream": True}).encode()
        asked = urllib.request.Request(self._url, body, self._headers, method="POST")
        async for chunk in _from_thread(lambda: self._chunks(asked)):
            yield chunk

    def _chunks(self, asked: urllib.request.Request) -> Iterator[Json]:
        try:
            with urllib.request.urlopen(asked, timeout=self._timeout_s) as response:
                if "event-stream" not in response.headers.get("content-type", ""):
                    yield json.loads(response.read())
                    return
                yield from _events(response)
        except urllib.error.HTTPError as error:
            raise ServerError(error.read(_ERROR_BYTES).decode(errors="replace"), error.code) from None
        except (OSError, ValueError) as error:
            raise ServerError(f"the server cannot be reached or broke off ({type(error).__name__})") from None


class OpenAIServer:
    """A server through the official client, `openai.OpenAI` or `openai.AsyncOpenAI`, as it was configured."""

    def __init__(self, client: Any) -> None:  # noqa: ANN401  # the package is no dependency of this one
        self._create = client.chat.completions.create
        self._is_async = type(client).__name__.startswith("Async")

    async def answer(self, request: Json) -> AsyncIterator[Json]:
        """Ask, and yield the stream's chunks."""
        extra = {key: request[key] for key in request.keys() & {"plan"}}
        asked = {key: value for key, value in request.items() if key not in extra} | {"stream": True}
        if extra:
            asked["extra_body"] = extra
        if self._is_async:
            async for chunk in await self._create(**asked):
                yield chunk.model_dump(exclude_none=True)
            return
        async for chunk in _from_thread(lambda: iter(self._create(**asked))):
            yield chunk.model_dump(exclude_none=True)


def _events(lines: Iterator[bytes] | Any) -> Iterator[Json]:  # noqa: ANN401
    """Read server-sent events, as OpenAI's streams have them.

    Raises:
        ServerError: the stream tells of an error.
    """
    for line in lines:
        if not line.startswith(b"data:"):
            continue
        data = line[5:].strip()
        if data == b"[DONE]":
            return
        event = json.loads(data)
        if "error" in event:
            raise ServerError(json.dumps(event["error"]))
        yield event


async def _from_thread(make: Callable[[], Iterator[Any]]) -> AsyncIterator[Any]:
    """Read a blocking iterator in a thread of its own; it ends with the next item once nobody reads any more."""
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[Any] = asyncio.Queue()
    is_over = threading.Event()

    def put(item: Any) -> None:  # noqa: ANN401
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
            loop.call_soon_threadsafe(queue.put_nowait, item)

    def body() -> None:
        try:
            for item in make():
                put(item)
                if is_over.is_set():
                    return
            put(_END)
        except Exception as error:  # carried over to the reader, who raises it
            put(error)

    threading.Thread(target=body, name="moegate-answer", daemon=True).start()
    try:
        while (item := await queue.get()) is not _END:
            if isinstance(item, Exception):
                raise item
            yield item
    finally:
        is_over.set()
