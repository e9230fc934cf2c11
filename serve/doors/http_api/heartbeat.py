"""Comments on a stream before its first token, for proxies that cut silent connections.

A line that begins with a colon is a comment (https://html.spec.whatwg.org/multipage/server-sent-events.html, section
9.2.7: "legacy proxy servers"), and clients drop it. The first comment sends the status 200. A failure after it is the
stream's last event, and the routing headers are missing. That is why it is a setting, `http.heartbeat_s`.
"""

import asyncio
from typing import Final, Self

from serve.doors.http_api.asgi import EVENT_STREAM, Reply

_COMMENT: Final = b": waiting\n\n"


class Heartbeat:
    """Sends comments inside its `async with` until it is stopped; a write under way is never cancelled."""

    def __init__(self, reply: Reply, interval_s: float | None) -> None:
        """Without an interval it sends nothing."""
        self._reply = reply
        self._interval_s = interval_s
        self._beating: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        if self._interval_s is not None:
            self._is_over = asyncio.Event()
            self._beating = asyncio.create_task(self._beat(self._interval_s))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Stop; a write under way is finished."""
        if self._beating is not None:
            self._is_over.set()
            await self._beating

    async def _beat(self, interval_s: float) -> None:
        while not await self._is_over_within(interval_s):
            if not self._reply.has_begun:
                await self._reply.begin(200, EVENT_STREAM)
            await self._reply.write(_COMMENT)

    async def _is_over_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                return await self._is_over.wait()
        except TimeoutError:
            return False
