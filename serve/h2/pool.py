"""Connections to one address: made when they are needed, another one when they are full, anew when they break."""

import asyncio
from itertools import count

from serve.h2.connection import Connection


class Pool:
    """Hands out connections in turn, so that calls spread over them."""

    def __init__(self, host: str, port: int, *, size: int, connect_within_s: float) -> None:
        """`size` connections are kept; more are made while all of them are full."""
        self._address = (host, port)
        self._size = size
        self._connect_within_s = connect_within_s
        self._connections: list[Connection] = []
        self._turn = count()
        self._making: asyncio.Task[None] | None = None

    async def take(self) -> Connection:
        """A connection with room for one more call.

        Raises:
            OSError: none can be made.
            TimeoutError: it takes too long.
        """
        while True:
            self._connections = [connection for connection in self._connections if connection.is_open]
            roomy = [connection for connection in self._connections if connection.has_room]
            if roomy and len(self._connections) >= self._size:
                return roomy[next(self._turn) % len(roomy)]
            await self._make()

    def close(self) -> None:
        """Close all of them."""
        for connection in self._connections:
            connection.close()

    async def _make(self) -> None:
        """Make one more; those who need it at the same time wait for the same one."""
        if self._making is None:
            self._making = asyncio.create_task(self._connect())
            self._making.add_done_callback(_seen)
        await asyncio.shield(self._making)

    async def _connect(self) -> None:
        try:
            async with asyncio.timeout(self._connect_within_s):
                _, connection = await asyncio.get_running_loop().create_connection(Connection, *self._address)
                try:
                    await connection.greeted
                except BaseException:
                    connection.close()
                    raise
            self._connections.append(connection)
        finally:
            self._making = None  # not in a callback: who comes in between would find it done, and wait for nothing


def _seen(making: asyncio.Task[None]) -> None:
    """Look at how it ended, should nobody have waited for it."""
    if not making.cancelled():
        making.exception()
