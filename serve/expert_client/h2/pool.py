"""Connections to one address: made when needed, one more when all are full, and replaced when they break."""

import asyncio
from itertools import count
from typing import Final

from serve.expert_client.h2.connection import Connection

_PAUSE_S: Final = 1.0  # after a connection that could not be made, while others carry the calls


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
        self._rest_until = float("-inf")
        self._is_closed = False

    async def take(self) -> Connection:
        """A connection with room for one more call; it waits for a new one only if there is none.

        Raises:
            OSError: none can be made.
            TimeoutError: it takes too long.
        """
        while True:
            self._connections = [connection for connection in self._connections if connection.is_open]
            roomy = [connection for connection in self._connections if connection.has_room]
            if roomy:
                if len(self._connections) < self._size and asyncio.get_running_loop().time() >= self._rest_until:
                    self._make()
                return roomy[next(self._turn) % len(roomy)]
            await asyncio.shield(self._make())

    def close(self) -> None:
        """Close all of them, and make no more."""
        self._is_closed = True
        for connection in self._connections:
            connection.close()

    def _make(self) -> asyncio.Task[None]:
        """Make one more; those who need it at the same time wait for the same one."""
        if self._making is None:
            self._making = asyncio.create_task(self._connect())
            self._making.add_done_callback(_seen)
        return self._making

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_within_s):
                _, connection = await loop.create_connection(Connection, *self._address)
                try:
                    await connection.greeted
                except BaseException:
                    connection.close()
                    raise
        except BaseException:
            self._rest_until = loop.time() + _PAUSE_S
            raise
        finally:
            self._making = None  # not in a callback: who comes in between would find it done, and wait for nothing
        if self._is_closed:
            connection.close()
        else:
            self._connections.append(connection)


def _seen(making: asyncio.Task[None]) -> None:
    """Read the task's exception, in case nobody waited for it."""
    if not making.cancelled():
        making.exception()
