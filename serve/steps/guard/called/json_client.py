"""One POST of JSON to one address, over aiohttp: connections are kept, answers are bounded.

No redirect is followed, no cookie kept, no proxy asked, and nothing logged. The caller gives the deadline, by a
timeout around the call: whatever is open then is closed.
"""

from typing import Final

import aiohttp
import orjson
import yarl

from serve.steps.guard.called.forms import CallFailed

MAX_BYTES: Final = 1 << 20  # of an answer
_KEPT_S: Final = 4.0  # a connection without a call; uvicorn, behind which many services are, closes one after 5
_NO_BOUND: Final = aiohttp.ClientTimeout(total=None)


class JsonClient:
    """Posts to one address. Use inside one event loop."""

    def __init__(self, url: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        """`headers` go with every request. Nothing is opened yet.

        Raises:
            ValueError: the address cannot be read.
        """
        self._url = yarl.URL(url).with_user(None)
        self._headers = {
            "content-type": "application/json",
            "accept": "application/json",
            "accept-encoding": "identity",  # what is packed small can be large: the bound is of what is read
            **dict(headers),
        }
        self._session: aiohttp.ClientSession | None = None
        self._calls = 0
        self._is_closing = False

    async def post(self, body: object) -> object:
        """Post a body; returns the answer's.

        Raises:
            CallFailed: the service could not be reached, said no, or did not answer in JSON.
        """
        self._calls += 1
        try:
            answer = await self._exchange(orjson.dumps(body))
        except (aiohttp.ClientError, OSError) as error:
            raise CallFailed(type(error).__name__) from None
        finally:
            self._calls -= 1
            await self._close_if_done()
        try:
            return orjson.loads(answer)
        except orjson.JSONDecodeError:
            raise CallFailed("its answer is not JSON") from None

    async def close(self) -> None:
        """Close what is kept, once the calls that are under way have come to their end."""
        self._is_closing = True
        await self._close_if_done()

    async def _close_if_done(self) -> None:
        if self._is_closing and not self._calls and self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def _exchange(self, raw: bytes) -> bytes:
        async with await self._opened(raw) as response:
            if not 200 <= response.status < 300:
                raise CallFailed(f"status {response.status}")
            answer = bytearray()
            async for piece in response.content.iter_any():
                answer += piece
                if len(answer) > MAX_BYTES:
                    raise CallFailed(f"its answer is over {MAX_BYTES} bytes")
            return bytes(answer)

    async def _opened(self, raw: bytes) -> aiohttp.ClientResponse:
        """Ask; once more where the other side closed a kept connection just as it was used."""
        if self._session is None:
            self._session = _session(self._headers)
        try:
            return await self._session.post(self._url, data=raw, allow_redirects=False)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
            if isinstance(error, aiohttp.ClientConnectorError):
                raise
            return await self._session.post(self._url, data=raw, allow_redirects=False)


def _session(headers: dict[str, str]) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        headers=headers,
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEPT_S),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        timeout=_NO_BOUND,
        trust_env=False,
    )
