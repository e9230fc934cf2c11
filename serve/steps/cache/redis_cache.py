"""Answers in Redis, for several gateways. Redis forgets them after their time, and earlier beyond its `maxmemory`."""

from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from serve.steps.cache.store import CacheUnavailable

_PREFIX: Final = b"moegate:answer:"
_FAILURES: Final = (RedisError, OSError, TimeoutError)


class RedisCache:
    """Asks Redis, and waits no longer than `timeout_s`."""

    def __init__(self, url: str, timeout_s: float, ttl_s: float) -> None:
        self._redis: Redis = Redis.from_url(url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s)
        self._ttl_ms = max(1, round(ttl_s * 1000))

    async def get(self, key: bytes) -> bytes | None:
        """Look an answer up."""
        try:
            answer = await self._redis.get(_PREFIX + key)
        except _FAILURES:
            raise CacheUnavailable from None
        return answer if isinstance(answer, bytes) else None

    async def put(self, key: bytes, answer: bytes) -> None:
        """Keep an answer."""
        try:
            await self._redis.set(_PREFIX + key, answer, px=self._ttl_ms)
        except _FAILURES:
            raise CacheUnavailable from None

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()
