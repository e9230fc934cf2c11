"""`GET /v1/usage`: what each key has used since the gateway began, and what is left of its limits. For operators alone.

Figures are of all workers.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response

from serve.access.keys import KeyRing
from serve.costs.tariffs import PICO
from serve.limits.bucket import LimitStatus
from serve.limits.quota import Quotas
from serve.request import Limit
from serve.telemetry.metrics.page import Page

_FIGURES: Final = {
    ("moegate_key_requests_total", ""): "requests",
    ("moegate_key_tokens_total", "prompt"): "prompt_tokens",
    ("moegate_key_tokens_total", "completion"): "completion_tokens",
    ("moegate_key_cost_usd_total", ""): "cost_usd",
}


class UsageEndpoint:
    """Answers it, out of the metrics: they are the sum over workers already."""

    def __init__(self, metrics_page: Callable[[], Awaitable[Page]], keys: KeyRing, allowances: Quotas) -> None:
        self._page = metrics_page
        self._keys = keys
        self._allowances = allowances

    async def __call__(self, request: Request) -> Response:
        """List every key that there is, and every one that there was and that has been used.

        Raises:
            OperatorOnly: the caller's key is not an operator's.
        """
        self._keys.check_operator(request.state.caller, "usage is shown to")
        rows = await key_rows(await self._page(), self._keys, self._allowances)
        return Response(orjson.dumps({"object": "list", "data": rows}), media_type="application/json")


async def key_rows(page: Page, keys: KeyRing, allowances: Quotas) -> list[dict[str, Any]]:
    """List what each key has used, its limits, and what is left of them now; in the order of their names."""
    used = _used(page)
    callers = {caller.name: caller for caller in keys.callers}
    rows = []
    for name in sorted(callers.keys() | used.keys()):
        caller = callers.get(name)
        row = {"key": name, **dict.fromkeys(_FIGURES.values(), 0), **used[name]}
        limits = None if caller is None else _limits(caller.limit)
        standing = None if caller is None else await allowances.standing(caller)
        rows.append({**row, "limits": limits, "left": None if standing is None else _left(standing)})
    return rows


def _used(page: Page) -> dict[str, dict[str, float]]:
    """Read the figures by key off the metrics."""
    used: dict[str, dict[str, float]] = defaultdict(dict)
    for family in page.collect():
        for sample in family.samples if family.name.startswith("moegate_key_") else ():
            figure = _FIGURES.get((sample.name, sample.labels.get("kind", "")))
            if figure is not None:
                used[sample.labels["key"]][figure] = sample.value if figure == "cost_usd" else int(sample.value)
    return used


def _limits(limit: Limit) -> dict[str, Any]:
    return {"rpm": limit.rpm, "tpm": limit.tpm, "usd": limit.usd, "usd_period_s": limit.usd_period_s}


def _left(standing: LimitStatus) -> dict[str, float | int | None]:
    """What is left beside requests that run: of this minute, and of the budget's period."""
    limit = standing.limit
    budget = None if limit.pico is None else max(0.0, limit.pico - standing.spent - standing.held) / PICO
    return {
        "requests": None if limit.rpm is None else int(max(0.0, standing.requests)),
        "tokens": None if limit.tpm is None else int(max(0.0, standing.tokens)),
        "usd": budget,
        "usd_reset_s": None if budget is None else round(standing.period_left_s),
    }
