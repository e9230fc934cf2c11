"""Accounts in Redis, for gateways on several machines; and what happens when Redis is slow or gone.

The arithmetic of `serve.limits` runs inside Redis, by Redis's clock, one key's account at a time: two gateways never
both take the last token. A Redis that does not answer within `redis_timeout_s` must not stop a request: for a few
seconds accounts are then kept here, each gateway for itself, before it is asked again.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from serve.limit_stores import LimitStore, LocalStore
from serve.limits import Limit, Short, Standing

log = logging.getLogger("moegate.limits")

_REST_S: Final = 5.0  # how long a Redis that failed is left alone
_SHORT: Final = {1: Short.USD, 2: Short.REQUESTS, 3: Short.TOKENS}

# KEYS[1] an account; ARGV: rpm tpm usd period, -1 = no limit, then "take" tokens | "settle" reserved used usd.
_SCRIPT: Final = """
local rpm, tpm, usd_limit, period_s = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
local stored = redis.call('HMGET', KEYS[1], 'requests', 'tokens', 'at', 'usd', 'period')
local full_requests, full_tokens = math.max(rpm, 0), math.max(tpm, 0)
local requests, tokens = full_requests, full_tokens
local usd, period = tonumber(stored[4]) or 0, tonumber(stored[5]) or 0
if stored[3] then
  local minutes = math.max(0, now - tonumber(stored[3])) / 60
  requests = math.min(full_requests, tonumber(stored[1]) + full_requests * minutes)
  tokens = math.min(full_tokens, tonumber(stored[2]) + full_tokens * minutes)
end
if math.floor(now / period_s) ~= period then usd, period = 0, math.floor(now / period_s) end
local short, wait = 0, 0
if ARGV[5] == 'take' then
  local wanted = math.min(tonumber(ARGV[6]), full_tokens)
  if usd_limit >= 0 and usd >= usd_limit then short, wait = 1, (period + 1) * period_s - now
  elseif rpm >= 0 and requests < 1 then short, wait = 2, (1 - requests) * 60 / rpm
  elseif tpm >= 0 and tokens < wanted then short, wait = 3, (wanted - tokens) * 60 / tpm
  else requests, tokens = requests - 1, tokens - wanted end
else
  tokens = tokens + math.min(tonumber(ARGV[6]), full_tokens) - tonumber(ARGV[7])
  usd = usd + tonumber(ARGV[8])
end
local fields = {requests, tokens, now, usd, period}
for i, value in ipairs(fields) do fields[i] = string.format('%.17g', value) end
redis.call('HSET', KEYS[1], 'requests', fields[1], 'tokens', fields[2], 'at', fields[3], 'usd', fields[4],
  'period', fields[5])
redis.call('EXPIRE', KEYS[1], period_s * 2)
return {short, fields[1], fields[2], string.format('%.17g', wait)}
"""


class RedisStore:
    """See `limit_stores.LimitStore`; `now` is Redis's own."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._redis = Redis.from_url(url, socket_connect_timeout=timeout_s, socket_timeout=timeout_s)
        self._script = self._redis.register_script(_SCRIPT)

    async def take(self, name: str, limit: Limit, tokens: float, now: float) -> Standing:
        """See `LimitStore.take`."""
        short, requests, left, wait_s = await self._run(name, limit, "take", tokens)
        return Standing(limit, _SHORT.get(short), float(requests), float(left), float(wait_s))

    async def settle(self, name: str, limit: Limit, *, reserved: float, used: float, usd: float, now: float) -> None:
        """See `LimitStore.settle`."""
        await self._run(name, limit, "settle", reserved, used, usd)

    async def close(self) -> None:
        """See `LimitStore.close`."""
        await self._redis.aclose()

    async def _run(self, name: str, limit: Limit, *arguments: str | float) -> Any:  # noqa: ANN401  # Redis's answer
        limits = (-1 if value is None else value for value in (limit.rpm, limit.tpm, limit.usd))
        async with asyncio.timeout(self._timeout_s):
            return await self._script(keys=[f"moegate:limit:{name}"], args=[*limits, limit.usd_period_s, *arguments])


class Forgiving:
    """A store that fails now and then, with one of our own to stand in for it."""

    def __init__(
        self, store: LimitStore, *, on_failure: Callable[[], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._own = LocalStore()
        self._on_failure = on_failure
        self._clock = clock
        self._rests_until = 0.0

    async def take(self, name: str, limit: Limit, tokens: float, now: float) -> Standing:
        """See `LimitStore.take`."""
        if self._clock() >= self._rests_until:
            try:
                return await self._store.take(name, limit, tokens, now)
            except (RedisError, OSError, TimeoutError):
                self._failed()
        return await self._own.take(name, limit, tokens, now)

    async def settle(self, name: str, limit: Limit, *, reserved: float, used: float, usd: float, now: float) -> None:
        """See `LimitStore.settle`."""
        if self._clock() >= self._rests_until:
            try:
                return await self._store.settle(name, limit, reserved=reserved, used=used, usd=usd, now=now)
            except (RedisError, OSError, TimeoutError):
                self._failed()
        await self._own.settle(name, limit, reserved=reserved, used=used, usd=usd, now=now)

    async def close(self) -> None:
        """See `LimitStore.close`."""
        await self._store.close()

    def _failed(self) -> None:
        self._rests_until = self._clock() + _REST_S
        self._on_failure()
        log.warning("limits kept in this process for now: redis does not answer")
