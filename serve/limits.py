"""What a key may use: requests and tokens a minute, and USD a period. Pure arithmetic on one key's account.

Requests and tokens are buckets that fill up steadily, so there is no edge of a minute at which everything is allowed
again. A request takes one request and as many tokens as it is estimated to need before it is let in, and what it really
used is set right when it ends; an account may fall below zero then and has to recover. `serve.limit_stores` keeps the
accounts, `serve.redis_limits` does the same arithmetic inside Redis.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_MINUTE_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Limit:
    """A key's limits; None = none."""

    rpm: int | None
    tpm: int | None
    usd: float | None
    usd_period_s: int = 86400

    @property
    def is_none(self) -> bool:
        """Whether there is nothing to count."""
        return self.rpm is None and self.tpm is None and self.usd is None


UNLIMITED: Final = Limit(None, None, None)


class Short(StrEnum):
    """What there is too little of."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    USD = "usd"


@dataclass(slots=True)
class Account:
    """One key's account; `at` and periods by the wall clock, seconds.

    Attributes:
        requests: left in the bucket; likewise `tokens`.
        at: when the buckets were last filled up; 0 = never, they are full.
        usd: spent in `period`.
        period: number of the period since 1970.
    """

    requests: float = 0.0
    tokens: float = 0.0
    at: float = 0.0
    usd: float = 0.0
    period: float = 0.0


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an account stands after a request was let in or refused.

    Attributes:
        limit: the key's.
        short: what there is too little of; None = the request may come in.
        requests: left; likewise `tokens`.
        retry_after_s: seconds until it would be let in.
    """

    limit: Limit
    short: Short | None
    requests: float
    tokens: float
    retry_after_s: float = 0.0


def take(account: Account, limit: Limit, tokens: float, now: float) -> Standing:
    """Take one request and its estimated tokens, or nothing at all."""
    _fill(account, limit, now)
    wanted = min(tokens, limit.tpm or 0)
    if limit.usd is not None and account.usd >= limit.usd:
        left_s = (account.period + 1) * limit.usd_period_s - now
        return Standing(limit, Short.USD, account.requests, account.tokens, left_s)
    if limit.rpm is not None and account.requests < 1:
        wait_s = (1 - account.requests) * _MINUTE_S / limit.rpm
        return Standing(limit, Short.REQUESTS, account.requests, account.tokens, wait_s)
    if limit.tpm is not None and account.tokens < wanted:
        wait_s = (wanted - account.tokens) * _MINUTE_S / limit.tpm
        return Standing(limit, Short.TOKENS, account.requests, account.tokens, wait_s)
    account.requests -= 1
    account.tokens -= wanted
    return Standing(limit, None, account.requests, account.tokens)


def settle(account: Account, limit: Limit, *, reserved: float, used: float, usd: float, now: float) -> None:
    """Set right what a request that was let in has really used."""
    _fill(account, limit, now)
    account.tokens += min(reserved, limit.tpm or 0) - used
    account.usd += usd


def _fill(account: Account, limit: Limit, now: float) -> None:
    """Bring an account up to now."""
    rpm, tpm = limit.rpm or 0, limit.tpm or 0
    if account.at == 0.0:
        account.requests, account.tokens = rpm, tpm
    else:
        minutes = max(0.0, now - account.at) / _MINUTE_S
        account.requests = min(rpm, account.requests + rpm * minutes)
        account.tokens = min(tpm, account.tokens + tpm * minutes)
    account.at = max(account.at, now)
    period = now // limit.usd_period_s
    if period != account.period:
        account.usd, account.period = 0.0, period
