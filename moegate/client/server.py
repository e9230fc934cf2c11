"""Who is asked: any server with OpenAI's chat completions, through the official client or Python's own HTTP.

Both give an answer as it comes, in OpenAI's `chat.completion.chunk`s; a server that answers whole gives one
`chat.completion`.
"""

import asyncio
import contextlib
import http.client
import inspect
import json
import threading
import urllib.error
import urllib.request
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

from moegate.client.line import Line

Json = Mapping[str, Any]
_END: Final = object()
_ERROR_BYTES: Final = 65_536
_ERROR_CHARS: Final = 2_000
_BUSY: Final = (429, 503)  # statuses that say when to come again


class ServerError(Exception):
    """The server refused or failed.

    Attributes:
        status: HTTP's; 0 where the server could not be reached or broke off.
        retry_after_s: when the server would be asked again, seconds; None where it does not say.
        messages: the conversation up to there, where a run had begun: `Runner.run(error.messages)` goes on from it.
        rounds: what came of the calls of that run, round by round, as `Result.rounds` has them.
    """

    def __init__(self, message: str, status: int = 0, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_s = retry_after_s
        self.messages: Sequence[Json] = ()
        self.rounds: Sequence[Sequence[Any]] = ()


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

    def __init__(
        self,
        base_url: str,
        api_key: str = "",
        *,
        timeout_s: float = 120.0,
        retries: int = 2,
        retry_within_s: float = 20.0,
    ) -> None:
        """Take where the server is.

        Args:
            base_url: ends in `/v1`.
            api_key: goes along as a bearer token.
            timeout_s: how long the server may be silent.
            retries: how often a server that is busy (429, 503) and says when to come again is asked again.
            retry_within_s: it is not waited for if it says more seconds than these.

        Raises:
            ValueError: it is no address, or the key has what no header may have, such as a line's end.
        """
        if not (api_key.isascii() and api_key.isprintable()):
            raise ValueError("api_key must be of printable ASCII characters; does it end in a line break?")
        if not base_url.startswith(("http://", "https://")):
            raise ValueError("base_url must begin with http:// or https://")
        self._url = f"{base_url.rstrip('/')}/chat/completions"
        self._headers = {"content-type": "application/json", "authorization": f"Bearer {api_key or 'none'}"}
        self._timeout_s = timeout_s
        self._retries = retries
        self._retry_within_s = retry_within_s

    async def answer(self, request: Json) -> AsyncIterator[Json]:
        """Ask, and yield the stream's chunks."""
        body = json.dumps({**request, "stream": True}).encode()
        for left in range(self._retries, -1, -1):
            try:
                async for chunk in self._asked(body):
                    yield chunk
                return
            except ServerError as error:
                wait_s = error.retry_after_s
                if not left or wait_s is None or wait_s > self._retry_within_s:
                    raise
            await asyncio.sleep(wait_s)

    async def _asked(self, body: bytes) -> AsyncGenerator[Json, None]:
        line = Line()
        async with contextlib.aclosing(_from_thread(lambda: self._chunks(line, body), line.cut)) as chunks:
            async for chunk in chunks:
                yield chunk

    def _chunks(self, line: Line, body: bytes) -> Iterator[Json]:
        try:
            asked = urllib.request.Request(self._url, body, self._headers, method="POST")
            with line.ask(asked, self._timeout_s) as response:
                if "event-stream" in response.headers.get("content-type", ""):
                    yield from _events(response)
                else:
                    yield _checked(json.loads(response.read()))
        except urllib.error.HTTPError as error:
            raise _refusal(error) from None
        except (ValueError, RecursionError):
            raise ServerError("the server's answer is no JSON: is base_url right?") from None
        except (OSError, http.client.HTTPException) as error:
            cause = getattr(error, "reason", error)  # of urllib's own error, such as ConnectionRefusedError
            named = type(cause if isinstance(cause, Exception) else error).__name__
            raise ServerError(f"the server cannot be reached or broke off ({named})") from None


class OpenAIServer:
    """A server through the official client, `openai.OpenAI` or `openai.AsyncOpenAI`, as it was configured."""

    def __init__(self, client: Any) -> None:  # noqa: ANN401  # the package is no dependency of this one
        self._create = client.chat.completions.create
        parameters = inspect.signature(self._create).parameters
        takes_any = any(one.kind is one.VAR_KEYWORD for one in parameters.values())
        self._known = None if takes_any else parameters.keys()
        self._is_async = any(base.__name__.startswith("Async") for base in type(client).__mro__)

    async def answer(self, request: Json) -> AsyncIterator[Json]:
        """Ask, and yield the stream's chunks."""
        asked = self._asked(request)
        try:
            async with contextlib.aclosing(
                self._from_loop(asked) if self._is_async else self._from_thread(asked)
            ) as chunks:
                async for chunk in chunks:
                    yield chunk.model_dump(exclude_none=True)
        except ServerError:
            raise
        except Exception as error:  # the official client's own errors, which this package does not know
            raise _failure(error) from error

    def _asked(self, request: Json) -> dict[str, Any]:
        """Put what the official client does not know, such as `plan`, where it takes it."""
        known = request.keys() - {"plan"} if self._known is None else self._known
        further = {key: value for key, value in request.items() if key not in known}
        asked = {key: value for key, value in request.items() if key in known} | {"stream": True}
        return {**asked, "extra_body": {**(asked.get("extra_body") or {}), **further}} if further else asked

    async def _from_loop(self, asked: Json) -> AsyncGenerator[Any, None]:
        stream = await self._create(**asked)
        try:
            async for chunk in stream:
                yield chunk
        finally:
            await stream.close()

    async def _from_thread(self, asked: Json) -> AsyncGenerator[Any, None]:
        def chunks() -> Iterator[Any]:
            with contextlib.closing(self._create(**asked)) as stream:
                yield from stream

        async with contextlib.aclosing(_from_thread(chunks, lambda: None)) as found:
            async for chunk in found:
                yield chunk


def _events(lines: Iterator[bytes] | Any) -> Iterator[Json]:  # noqa: ANN401
    """Read server-sent events, as OpenAI's streams have them.

    Raises:
        ServerError: the stream tells of an error, or ends before the answer does.
    """
    has_ended = False
    for line in lines:
        if not line.startswith(b"data:"):
            continue
        data = line[5:].strip()
        if data == b"[DONE]":
            return
        event = _checked(json.loads(data))
        has_ended = has_ended or _is_last(event)
        yield event
    if not has_ended:
        raise ServerError("the server's answer broke off")


def _is_last(event: Json) -> bool:
    """Say whether a chunk ends the answer; some servers send no `[DONE]` behind it."""
    choices = event.get("choices")
    return isinstance(choices, list) and any(isinstance(one, dict) and one.get("finish_reason") for one in choices)


def _checked(event: Any) -> Json:  # noqa: ANN401  # JSON
    """Return what the server said, if it is part of an answer.

    Raises:
        ServerError: it tells of an error, or of something else.
    """
    if not isinstance(event, Mapping):
        raise ServerError("the server's answer is none of chat completions")
    if event.get("error"):
        raise ServerError(_said(event["error"]))
    return event


def _said(error: object) -> str:
    """Return the words of an error, in OpenAI's form or another."""
    message = error.get("message") if isinstance(error, Mapping) else None
    return (message if isinstance(message, str) and message else json.dumps(error))[:_ERROR_CHARS]


def _refusal(error: urllib.error.HTTPError) -> ServerError:
    """Read a response that is an error."""
    raw = b""
    with contextlib.suppress(OSError, http.client.HTTPException), error:
        raw = error.read(_ERROR_BYTES)
    text = raw.decode(errors="replace").strip()
    with contextlib.suppress(ValueError, RecursionError):
        told = json.loads(text)
        text = _said(told.get("error") or told) if isinstance(told, Mapping) else text
    told_s = _seconds(error.headers, error.code)
    return ServerError(text[:_ERROR_CHARS] or f"the server answered with the status {error.code}", error.code, told_s)


def _failure(error: Exception) -> ServerError:
    """Translate an error of the official client."""
    status = getattr(error, "status_code", None)
    headers = getattr(getattr(error, "response", None), "headers", None)
    code = status if isinstance(status, int) else 0
    return ServerError(f"{type(error).__name__}: {error}"[:_ERROR_CHARS], code, _seconds(headers, code))


def _seconds(headers: Any, status: int) -> float | None:  # noqa: ANN401  # anything with `get`
    """Read when a busy server may be asked again; a date, which few servers send, is not read."""
    if headers is None or status not in _BUSY or headers.get("x-should-retry") == "false":
        return None
    told = headers.get("retry-after") or ""
    return float(told) if told.isascii() and told.isdigit() else None


async def _from_thread(make: Callable[[], Iterator[Any]], cut: Callable[[], object]) -> AsyncGenerator[Any, None]:
    """Read a blocking iterator in a thread of its own.

    Once nobody reads any more, `cut` is called, which may end the read that waits; otherwise the next item does.
    """
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
        cut()
