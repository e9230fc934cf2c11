"""`GET /v1/usage`: what each key has used since the gateway began, on all of its workers. For operators' keys alone."""

from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response

from serve.access.keys import KeyRing
from serve.errors import OperatorOnly
from serve.request import Caller, Limit
from serve.telemetry.metrics.page import Page

_FIGURES: Final = {
    ("moegate_key_requests_total", ""): "requests",
    ("moegate_key_tokens_total", "prompt"): "prompt_tokens",
    ("moegate_key_tokens_total", "completion"): "completion_tokens",
    ("moegate_key_cost_usd_total", ""): "cost_usd",
}


class UsageEndpoint:
    """Answers it, out of the metrics: they are the sum over workers already."""

    def __init__(self, metrics_page: Callable[[], Awaitable[Page]], keys: KeyRing) -> None:
        self._page = metrics_page
        self._keys = keys

    async def __call__(self, request: Request) -> Response:
        """List every key that there is, and every one that there was and that has been used.

        Raises:
            OperatorOnly: the caller's key is not an operator's.
        """
        caller: Caller = request.state.caller
        if not (caller.is_operator or self._keys.is_open):
            raise OperatorOnly("usage is shown to keys with 'operator: true' alone")
        used = _used(await self._page())
        limits = {one.name: _limits(one.limit) for one in self._keys.callers}
        rows = [
            {"key": name, **dict.fromkeys(_FIGURES.values(), 0), **used[name], "limits": limits.get(name)}
            for name in sorted(limits.keys() | used.keys())
        ]
        return Response(orjson.dumps({"object": "list", "data": rows}), media_type="application/json")


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
