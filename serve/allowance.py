"""A request's allowance: taken from its key's account before it is let in, set right when it has ended.

`serve.gateway` holds one for every request, whichever door it came through; what is left of it goes out as OpenAI's
`x-ratelimit-*` headers.
"""

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Final, Protocol

from router.tokens import estimate_tokens
from serve.errors import BudgetExhausted, RateLimited
from serve.limit_stores import LimitStore
from serve.limits import Limit, Short, Standing
from serve.request import ChatRequest

_NOTHING: Final = nullcontext()


class Spending(Protocol):
    """What a request has used so far; its record knows."""

    def spent(self) -> tuple[int, float]:
        """Tokens, prompt and completion together, and USD."""
        ...


class Allowances:
    """Gives them out."""

    def __init__(
        self,
        store: LimitStore,
        *,
        on_refusal: Callable[[Short], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._on_refusal = on_refusal
        self._clock = clock

    def hold(self, request: ChatRequest, spending: Spending) -> AbstractAsyncContextManager[Standing | None]:
        """Hold an allowance for the body of the `with`, which is told what is left; None for a key without limits.

        Raises:
            RateLimited: the key has used up its requests or its tokens for now.
            BudgetExhausted: or its USD.
        """
        return _NOTHING if request.caller.limit.is_none else self._hold(request, spending)

    @asynccontextmanager
    async def _hold(self, request: ChatRequest, spending: Spending) -> AsyncIterator[Standing]:
        caller, limit = request.caller, request.caller.limit
        reserved = estimated_tokens(request) if limit.tpm is not None else 0
        standing = await self._store.take(caller.name, limit, reserved, self._clock())
        if standing.short is not None:
            self._on_refusal(standing.short)
            raise refusal(standing)
        try:
            yield standing
        finally:
            used, usd = spending.spent()
            await self._store.settle(caller.name, limit, reserved=reserved, used=used, usd=usd, now=self._clock())


def refusal(standing: Standing) -> RateLimited | BudgetExhausted:
    """Say what there is too little of, and when there will be enough."""
    headers = tuple(rate_headers(standing))
    if standing.short is Short.USD:
        return BudgetExhausted("the key's budget is used up", retry_after_s=standing.retry_after_s, headers=headers)
    message = f"the key's {standing.short} per minute are used up; retry later"
    return RateLimited(message, retry_after_s=standing.retry_after_s, headers=headers)


def estimated_tokens(request: ChatRequest) -> int:
    """What a request may use: its prompt's estimated tokens, and the answer's where it has a bound."""
    texts = [request.input] if isinstance(request.input, str) else [m.content for m in request.input.messages]
    return estimate_tokens(texts) + request.sampling.max_tokens


def rate_headers(standing: Standing | None) -> Iterator[tuple[str, str]]:
    """OpenAI's rate limit headers (https://platform.openai.com/docs/guides/rate-limits)."""
    if standing is None:
        return
    limit: Limit = standing.limit
    kinds = (("requests", limit.rpm, standing.requests), ("tokens", limit.tpm, standing.tokens))
    for kind, per_minute, left in kinds:
        if per_minute is not None:
            yield f"x-ratelimit-limit-{kind}", str(per_minute)
            yield f"x-ratelimit-remaining-{kind}", str(max(0, int(left)))
            yield f"x-ratelimit-reset-{kind}", _span((per_minute - left) * 60 / per_minute)


def _span(seconds: float) -> str:
    """A time span as OpenAI writes it: 120ms, 1s, 6m0s."""
    if seconds < 1:
        return f"{max(0, round(seconds * 1000))}ms"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
