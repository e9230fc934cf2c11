"""A request's allowance: reserved in its key's account before it is admitted, settled when its answer has ended.

`serve.gateway` holds one for every request, whichever door it came through. What is left is reported in OpenAI's
`x-ratelimit-*` headers and in `x-moegate-budget-*`. A whole answer reports it after settlement. A stream's headers are
sent with its first token, so they report what is left beside the reservation.
"""

import math
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Final, Protocol

from experts.catalog.spec import Catalog
from serve.costs.tariffs import PICO, Tariff
from serve.errors import BudgetExhausted, RateLimited, RequestExceedsLimit
from serve.limits.bucket import NOTHING, Amount, LimitKind, LimitStatus
from serve.limits.reservation import Reservations, asked_tokens
from serve.limits.stores import LimitStore
from serve.request import Caller, ChatRequest, Limit

Headers = tuple[tuple[str, str], ...]

_NO_RETRY: Final = ("x-should-retry", "false")  # OpenAI's clients ask for it before they retry a 429


class Spending(Protocol):
    """What a request has used so far, as its record knows."""

    def spent(self) -> Amount:
        """Tokens, prompt and completion together, and picodollars; attempts beside the answer included."""
        ...


class Allowance:
    """The allowance of a request. This class is for a request without limits."""

    @property
    def headers(self) -> Headers:
        """What is left of the key's limits, as both doors report it."""
        return ()

    async def settle(self) -> None:
        """Charge the account what was really used; nothing more will be."""


class HeldAllowance(Allowance):
    """The allowance of a request whose key has an account."""

    def __init__(
        self, store: LimitStore, name: str, standing: LimitStatus, spending: Spending, clock: Callable[[], float]
    ) -> None:
        self._store = store
        self._name = name
        self._standing = standing
        self._spending = spending
        self._clock = clock
        self._is_settled = False

    @property
    def headers(self) -> Headers:
        """What is left of the key's limits, as both doors report it."""
        return tuple(limit_headers(self._standing))

    async def settle(self) -> None:
        """Charge what was really used; a second call does nothing."""
        if not self._is_settled:
            self._is_settled = True
            used = self._spending.spent()
            self._standing = await self._store.settle(self._name, self._standing, used, self._clock())


_UNLIMITED: Final = nullcontext(Allowance())


class Quotas:
    """Gives each request its allowance."""

    def __init__(
        self,
        store: LimitStore,
        reservations: Reservations,
        *,
        on_refusal: Callable[[LimitKind], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._reservations = reservations
        self._on_refusal = on_refusal
        self._clock = clock

    def reprice(self, catalog: Catalog, tariffs: Mapping[str, Tariff]) -> None:
        """Reserve by other prices of the same experts."""
        self._reservations.reprice(catalog, tariffs)

    async def standing(self, caller: Caller) -> LimitStatus | None:
        """What is left of a caller's limits now; None where it has none, or where nobody can say."""
        if caller.limit.is_none:
            return None
        now = self._clock()
        unknown = LimitStatus(caller.limit, None, 0.0, 0.0, at=now)
        told = await self._store.settle(caller.name, unknown, NOTHING, now)  # nothing was held, and nothing is used
        return None if told is unknown else told

    def hold(self, request: ChatRequest, spending: Spending) -> AbstractAsyncContextManager[Allowance]:
        """Hold an allowance for the body of the `with`.

        Raises:
            RateLimited: the key has used up its requests or its tokens for now, or requests that run hold the rest.
            BudgetExhausted: it has used up its USD.
            RequestExceedsLimit: the request can never fit into the key's minute.
        """
        return _UNLIMITED if request.caller.limit.is_none else self._hold(request, spending)

    def hold_tokens(
        self, caller: Caller, tokens: int, spending: Spending, *, param: str
    ) -> AbstractAsyncContextManager[Allowance]:
        """Hold an allowance of so many tokens and no money; `param` names what to shorten where they are too many.

        Raises:
            RateLimited: see `hold`.
            RequestExceedsLimit: likewise.
        """
        limit = caller.limit
        if limit.is_none:
            return _UNLIMITED
        if limit.tpm is not None and tokens > 2 * limit.tpm:  # the estimate is up to twice what there is
            self._on_refusal(LimitKind.TOKENS)
            what = f"the request asks for more tokens than the key's {limit.tpm} a minute; shorten '{param}'"
            raise RequestExceedsLimit(what, param=param, headers=(_NO_RETRY,))
        return self._hold_amount(caller, Amount(0 if limit.tpm is None else tokens), spending)

    def _hold(self, request: ChatRequest, spending: Spending) -> AbstractAsyncContextManager[Allowance]:
        return self._hold_amount(request.caller, self._wanted(request), spending)

    @asynccontextmanager
    async def _hold_amount(self, caller: Caller, wanted: Amount, spending: Spending) -> AsyncIterator[Allowance]:
        standing = await self._store.take(caller.name, caller.limit, wanted, self._clock())
        if standing.short is not None:
            self._on_refusal(standing.short)
            raise refusal(standing)
        allowance = HeldAllowance(self._store, caller.name, standing, spending, self._clock)
        try:
            yield allowance
        finally:
            await allowance.settle()

    def _wanted(self, request: ChatRequest) -> Amount:
        limit = request.caller.limit
        if limit.tpm is None and limit.usd is None:
            return Amount()
        wanted = self._reservations.at_most(request)
        if limit.tpm is not None and wanted.tokens > limit.tpm:
            least = self._reservations.at_least(request)
            if least > limit.tpm:
                self._on_refusal(LimitKind.TOKENS)
                raise _too_large(request, limit.tpm, least)
        return wanted


def refusal(standing: LimitStatus) -> RateLimited | BudgetExhausted:
    """Make the error that names the used-up limit and the time of a retry."""
    headers, wait_s = tuple(limit_headers(standing)), math.ceil(standing.retry_after_s)
    if standing.short is not LimitKind.USD:
        message = f"the key's {standing.short} per minute are used up; retry later"
    elif standing.is_budget_spent:
        message = "the key's budget is used up"
        return BudgetExhausted(message, retry_after_s=wait_s, headers=(*headers, _NO_RETRY))
    else:
        message = "requests that are still running hold the rest of the key's budget; retry when they have ended"
    return RateLimited(message, retry_after_s=wait_s, headers=headers)


def _too_large(request: ChatRequest, tpm: int, least: int) -> RequestExceedsLimit:
    """OpenAI answers such a request with 429, too ("Request too large"): waiting does not help."""
    what = f"the request asks for {least} tokens or more, and the key's limit is {tpm} a minute"
    if asked_tokens(request) is not None:
        return RequestExceedsLimit(f"{what}; lower 'max_tokens'", param="max_tokens", headers=(_NO_RETRY,))
    param = "prompt" if isinstance(request.input, str) else "messages"
    return RequestExceedsLimit(f"{what}; shorten '{param}'", param=param, headers=(_NO_RETRY,))


def limit_headers(standing: LimitStatus) -> Iterator[tuple[str, str]]:
    """OpenAI's rate limit headers (https://platform.openai.com/docs/guides/rate-limits), and the budget's."""
    limit: Limit = standing.limit
    kinds = (("requests", limit.rpm, standing.requests), ("tokens", limit.tpm, standing.tokens))
    for kind, per_minute, bucket in kinds:
        if per_minute is not None:
            left = max(0.0, bucket)
            yield f"x-ratelimit-limit-{kind}", str(per_minute)
            yield f"x-ratelimit-remaining-{kind}", str(int(left))
            yield f"x-ratelimit-reset-{kind}", _span((per_minute - left) * 60 / per_minute)
    if limit.pico is not None:
        yield "x-moegate-budget-limit-usd", _usd(limit.pico)
        yield "x-moegate-budget-remaining-usd", _usd(max(0.0, limit.pico - standing.spent - standing.held))
        yield "x-moegate-budget-reset", _span(standing.period_left_s)


def _usd(pico: float) -> str:
    """Picodollars as USD, exactly and without an exponent."""
    return f"{pico / PICO:.12f}".rstrip("0").rstrip(".")


def _span(seconds: float) -> str:
    """A time span as OpenAI writes it: 120ms, 1s, 6m0s, 13h0m5s."""
    if seconds < 1:
        return f"{max(0, round(seconds * 1000))}ms"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{rest}s"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
