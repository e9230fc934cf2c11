"""Accounts in Redis, for gateways on several machines.

The arithmetic of `serve.limits.bucket` runs inside Redis, by Redis's clock, one key's account at a time. So two
gateways never both take the last token. `serve.limits.fallback_store` handles a Redis that is slow or gone.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from redis.asyncio import Redis

from serve.limits.bucket import BESIDE_OTHERS_S, Amount, LimitKind, LimitStatus
from serve.request import Limit

_SHORT: Final = {1: LimitKind.USD, 2: LimitKind.REQUESTS, 3: LimitKind.TOKENS}

# KEYS[1]: an account. ARGV: 1 rpm, 2 tpm, 3 budget in picodollars (-1 = no limit), 4 period_s, 5 hold_s, 6 the clock
# ("" = Redis's own), 7 and 8 the tokens and picodollars reserved, 9 "take", or the time of the reservation that is
# settled and then 10 and 11 the tokens and picodollars used. Each step is the one of the same name in
# `serve.limits.bucket`.
_SCRIPT: Final = """
local rpm, tpm, budget = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local period_s, hold_s, now = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local reserved_tokens, reserved_pico = tonumber(ARGV[7]), tonumber(ARGV[8])
if not now then
  local clock = redis.call('TIME')
  now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
end
local names = {'requests', 'tokens', 'at', 'spent', 'period', 'held', 'held_before', 'held_since'}
local account = {}
for i, value in ipairs(redis.call('HMGET', KEYS[1], unpack(names))) do account[names[i]] = tonumber(value) or 0 end

-- fill
local full_requests, full_tokens = math.max(rpm, 0), math.max(tpm, 0)
if account.at == 0 then
  account.requests, account.tokens = full_requests, full_tokens
else
  local minutes = math.max(0, now - account.at) / 60
  account.requests = math.min(full_requests, account.requests + full_requests * minutes)
  account.tokens = math.min(full_tokens, account.tokens + full_tokens * minutes)
end
account.at = math.max(account.at, now)
local period = math.floor(account.at / period_s)
if period ~= account.period then account.spent, account.period = 0, period end

-- expire
local age_s = account.at - account.held_since
if age_s >= 2 * hold_s then
  account.held, account.held_before, account.held_since = 0, 0, account.at
elseif age_s >= hold_s then
  account.held, account.held_before, account.held_since = 0, account.held, account.held_since + hold_s
end

local short, wait_s = 0, 0
reserved_tokens = math.min(reserved_tokens, full_tokens)
if ARGV[9] == 'take' then
  local held = account.held + account.held_before
  if budget >= 0 and account.spent >= budget then
    short, wait_s = 1, (account.period + 1) * period_s - account.at
  elseif budget >= 0 and held > 0 and account.spent + held + reserved_pico > budget then
    short, wait_s = 1, BESIDE_OTHERS_S
  elseif rpm >= 0 and account.requests < 1 then
    short, wait_s = 2, math.min(60, (1 - account.requests) * 60 / rpm)
  elseif tpm >= 0 and account.tokens < reserved_tokens then
    short, wait_s = 3, math.min(60, (reserved_tokens - account.tokens) * 60 / tpm)
  else
    account.requests, account.tokens = account.requests - 1, account.tokens - reserved_tokens
    account.held = account.held + reserved_pico
  end
else -- settle
  local taken_at, used_tokens, used_pico = tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11])
  local tokens = account.tokens + reserved_tokens - math.min(used_tokens, full_tokens)
  account.tokens = math.min(full_tokens, tokens)
  account.spent = account.spent + used_pico
  if account.at - taken_at <= hold_s then -- release
    local cell = taken_at >= account.held_since and 'held' or 'held_before'
    account[cell] = math.max(0, account[cell] - reserved_pico)
  end
end

local fields = {}
for _, name in ipairs(names) do
  fields[#fields + 1] = name
  fields[#fields + 1] = string.format('%.17g', account[name])
end
redis.call('HSET', KEYS[1], unpack(fields))
redis.call('EXPIRE', KEYS[1], math.ceil(math.max(period_s, hold_s) * 2))
local answer = {account.requests, account.tokens, account.spent, account.held + account.held_before, account.at, wait_s}
for i, value in ipairs(answer) do answer[i] = string.format('%.17g', value) end
return {short, unpack(answer)}
""".replace("BESIDE_OTHERS_S", repr(BESIDE_OTHERS_S))


class RedisStore:
    """Keeps accounts in Redis. Redis's own clock counts, unless one is given."""

    def __init__(self, url: str, timeout_s: float, *, clock: Callable[[], float] | None = None) -> None:
        self._timeout_s = timeout_s
        self._clock = clock
        self._redis = Redis.from_url(url, socket_connect_timeout=timeout_s, socket_timeout=timeout_s)
        self._script = self._redis.register_script(_SCRIPT)

    async def take(self, name: str, limit: Limit, wanted: Amount, now: float) -> LimitStatus:
        """Reserve in Redis; raises what the client library raises if Redis does not answer in time."""
        return await self._run(name, limit, wanted, "take")

    async def settle(self, name: str, taken: LimitStatus, used: Amount, now: float) -> LimitStatus:
        """Charge what was really used, and return the rest of the reservation."""
        return await self._run(name, taken.limit, taken.reserved, repr(taken.at), used.tokens, used.pico)

    async def close(self) -> None:
        """Close the connections to Redis."""
        await self._redis.aclose()

    async def _run(self, name: str, limit: Limit, reserved: Amount, *step: str | float) -> LimitStatus:
        limits = (-1 if value is None else value for value in (limit.rpm, limit.tpm, limit.pico))
        clock = "" if self._clock is None else repr(self._clock())
        arguments = [*limits, limit.usd_period_s, limit.hold_s, clock, reserved.tokens, reserved.pico, *step]
        async with asyncio.timeout(self._timeout_s):
            answer: Any = await self._script(keys=[f"moegate:account:{name}"], args=arguments)
        requests, tokens, spent, held, at, wait_s = map(float, answer[1:])
        short = _SHORT.get(answer[0])
        holds = reserved if step == ("take",) and short is None else Amount()
        return LimitStatus(limit, short, requests, tokens, spent, held, at, holds, wait_s)
