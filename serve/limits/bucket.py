"""What a key may use: requests and tokens a minute, and USD a period. Pure arithmetic on one key's account.

Before it is admitted, a request reserves the most that it may use (`serve.limits.reservation` says how much). When it
has ended, the account is settled to what it really used. Requests and tokens are buckets that fill up steadily, so no
minute's edge allows everything again. USD are counted by period: spent, and held for requests that still run.
`serve.limits.stores` keeps the accounts; `serve.limits.redis_store` does the same arithmetic inside Redis.

Two rules limit N parallel requests to what one request can do:

* A request that may use more than a whole minute's tokens waits for a full bucket, takes all of it, and is charged at
  most that. So the next one waits for a minute and no longer.
* While requests hold a part of the budget, another one is admitted only if it fits beside them. A request that is alone
  may start as long as anything is left. So a budget is overrun by at most one request, and all of it is usable.

A process that dies takes nothing with it: buckets fill up again, and reservations expire after `Limit.hold_s`.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from serve.request import Limit

MINUTE_S: Final = 60.0
BESIDE_OTHERS_S: Final = 1.0  # when to come back if requests that run hold the rest of a budget


@dataclass(frozen=True, slots=True)
class Amount:
    """Tokens (prompt and answer together) and whole picodollars, so that amounts taken and given back are equal."""

    tokens: int = 0
    pico: int = 0


NOTHING: Final = Amount()


class LimitKind(StrEnum):
    """The limit that is used up."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    USD = "usd"


@dataclass(slots=True)
class Account:
    """One key's account; times by the wall clock, seconds; money in picodollars.

    Attributes:
        requests: left in the bucket; likewise `tokens`, which falls below zero when estimates were too low.
        at: when the buckets were last filled up; 0 = never, they are full.
        spent: in `period`.
        period: number of the period since 1970.
        held: reserved since `held_since` by requests that run; `held_before`: in the `hold_s` before that.
    """

    requests: float = 0.0
    tokens: float = 0.0
    at: float = 0.0
    spent: float = 0.0
    period: float = 0.0
    held: float = 0.0
    held_before: float = 0.0
    held_since: float = 0.0


@dataclass(frozen=True, slots=True)
class LimitStatus:
    """The state of an account after a request was admitted, refused or settled.

    Attributes:
        limit: the key's.
        short: what there is too little of; None = the request may come in.
        requests: left; likewise `tokens`.
        spent: picodollars in this period.
        held: picodollars reserved for requests that run.
        at: the account's clock, seconds; a reservation is known by when it was made.
        reserved: what this request holds.
        retry_after_s: seconds until it would be let in.
        is_stand_in: kept in this process because the store did not answer.
    """

    limit: Limit
    short: LimitKind | None
    requests: float
    tokens: float
    spent: float = 0.0
    held: float = 0.0
    at: float = 0.0
    reserved: Amount = NOTHING
    retry_after_s: float = 0.0
    is_stand_in: bool = False

    @property
    def period_left_s(self) -> float:
        """Seconds until the budget begins anew."""
        return self.limit.usd_period_s - self.at % self.limit.usd_period_s

    @property
    def is_budget_spent(self) -> bool:
        """Whether the budget is spent for this period, whatever running requests may give back."""
        return self.limit.pico is not None and self.spent >= self.limit.pico


def take(account: Account, limit: Limit, wanted: Amount, now: float) -> LimitStatus:
    """Reserve one request and the most that it may use, or reserve nothing."""
    _fill(account, limit, now)
    short, wait_s = _shortage(account, limit, wanted)
    if short is None:
        account.requests -= 1
        account.tokens -= min(wanted.tokens, limit.tpm or 0)
        account.held += wanted.pico
    return _standing(account, limit, wanted if short is None else NOTHING, short, wait_s)


def settle(account: Account, taken: LimitStatus, used: Amount, now: float) -> LimitStatus:
    """Replace a request's reservation by what it really used; `taken` is the account's state at its admission."""
    limit, reserved = taken.limit, taken.reserved
    _fill(account, limit, now)
    most = limit.tpm or 0
    account.tokens = min(most, account.tokens + min(reserved.tokens, most) - min(used.tokens, most))
    account.spent += used.pico
    _release(account, taken)
    return _standing(account, limit, NOTHING)


def _shortage(account: Account, limit: Limit, wanted: Amount) -> tuple[LimitKind | None, float]:
    """The limit that is used up, and for how many seconds."""
    budget, held = limit.pico, account.held + account.held_before
    if budget is not None and account.spent >= budget:
        return LimitKind.USD, (account.period + 1) * limit.usd_period_s - account.at
    if budget is not None and held > 0 and account.spent + held + wanted.pico > budget:
        return LimitKind.USD, BESIDE_OTHERS_S
    if limit.rpm is not None and account.requests < 1:
        return LimitKind.REQUESTS, min(MINUTE_S, (1 - account.requests) * MINUTE_S / limit.rpm)
    if limit.tpm is not None and account.tokens < min(wanted.tokens, limit.tpm):
        return LimitKind.TOKENS, min(MINUTE_S, (min(wanted.tokens, limit.tpm) - account.tokens) * MINUTE_S / limit.tpm)
    return None, 0.0


def _fill(account: Account, limit: Limit, now: float) -> None:
    """Bring an account up to now."""
    rpm, tpm = limit.rpm or 0, limit.tpm or 0
    if account.at == 0.0:
        account.requests, account.tokens = rpm, tpm
    else:
        minutes = max(0.0, now - account.at) / MINUTE_S
        account.requests = min(rpm, account.requests + rpm * minutes)
        account.tokens = min(tpm, account.tokens + tpm * minutes)
    account.at = max(account.at, now)
    period = account.at // limit.usd_period_s
    if period != account.period:
        account.spent, account.period = 0.0, period
    _expire(account, limit.hold_s)


def _expire(account: Account, hold_s: float) -> None:
    """Drop reservations that are older than any request can be: their gateway is dead.

    Two sums in place of a list of reservations: the older one is dropped when the younger one is `hold_s` old, so each
    reservation is kept for at least `hold_s` and at most twice that.
    """
    age_s = account.at - account.held_since
    if age_s >= 2 * hold_s:
        account.held, account.held_before, account.held_since = 0.0, 0.0, account.at
    elif age_s >= hold_s:
        account.held, account.held_before = 0.0, account.held
        account.held_since += hold_s


def _release(account: Account, taken: LimitStatus) -> None:
    """Give back what a request held, unless that has expired."""
    if account.at - taken.at > taken.limit.hold_s:
        return
    if taken.at >= account.held_since:
        account.held = max(0.0, account.held - taken.reserved.pico)
    else:
        account.held_before = max(0.0, account.held_before - taken.reserved.pico)


def _standing(
    account: Account, limit: Limit, reserved: Amount, short: LimitKind | None = None, wait_s: float = 0.0
) -> LimitStatus:
    held = account.held + account.held_before
    return LimitStatus(
        limit, short, account.requests, account.tokens, account.spent, held, account.at, reserved, wait_s
    )
