"""`GET /v1/operate`: how the gateway is doing, in a few kilobytes, for the console. For operators' keys alone.

Counts are totals since the start, of all workers: who reads them twice knows the rate and, from the buckets, the
percentiles of the time between. The latest requests are those of the worker that answers.
"""

import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import orjson
from prometheus_client.samples import Sample
from starlette.requests import Request
from starlette.responses import Response

from serve.access.keys import KeyRing
from serve.doors.http_api.usage import key_rows
from serve.gateway import Gateway
from serve.limits.quota import Quotas
from serve.telemetry.metrics import NO_EXPERT
from serve.telemetry.metrics.page import Page
from serve.telemetry.recent_requests import Ended, RecentRequests

PATH: Final = "/v1/operate"
MOST_KEYS: Final = 25
"""Keys in an answer: those that have spent most."""

_OF_EXPERTS: Final = {
    "moegate_requests_in_flight": "in_flight",
    "moegate_cost_usd_total": "cost_usd",
    "moegate_wasted_cost_usd_total": "wasted_usd",
}
_TTFT: Final = "moegate_time_to_first_token_seconds_bucket"


class OperateEndpoint:
    """Answers it."""

    def __init__(
        self,
        gateway: Gateway,
        metrics_page: Callable[[], Awaitable[Page]],
        keys: KeyRing,
        allowances: Quotas,
        recent: RecentRequests,
        *,
        started_at: int,
    ) -> None:
        self._gateway = gateway
        self._page = metrics_page
        self._keys = keys
        self._allowances = allowances
        self._recent = recent
        self._started_at = started_at

    async def __call__(self, request: Request) -> Response:
        """Tell it.

        Raises:
            OperatorOnly: the caller's key is not an operator's.
        """
        self._keys.check_operator(request.state.caller, "operations are shown to")
        page = await self._page()
        sums, now = Sums(page), time.time()
        keys = await key_rows(page, self._keys, self._allowances)
        keys.sort(key=lambda row: -float(row["cost_usd"]))
        body = {
            "object": "operate",
            "at": round(now, 3),
            "gateway": self._about(sums, now),
            "buckets_s": sums.bounds(_TTFT),
            "experts": [self._expert(name, sums) for name in (*self._gateway.catalog.names, NO_EXPERT)],
            "errors": _errors(sums),
            "money": _money(sums),
            "keys": keys[:MOST_KEYS],
            "recent": [_row(ended) for ended in self._recent.latest()],
        }
        headers = {"cache-control": "no-store"}
        return Response(orjson.dumps(body), media_type="application/json", headers=headers)

    def _about(self, sums: "Sums", now: float) -> dict[str, Any]:
        """The process: what runs, for how long, with what."""
        [build] = sums.labels("moegate_build_info") or [{}]
        return {
            "version": build.get("version", ""),
            "router": build.get("router", ""),
            "started_at": self._started_at,
            "uptime_s": round(now - self._started_at),
            "ready": self._gateway.health.is_ready,
            "waiting": round(sums.total("moegate_admission_waiting")),
            "configuration": {
                row["configuration"]: row["version"] for row in sums.labels("moegate_configuration_info")
            },
        }

    def _expert(self, name: str, sums: "Sums") -> dict[str, Any]:
        """One expert; `none` is for requests that reached nobody, and is no expert."""
        told: dict[str, Any] = {"name": name, "ready": None, "why_not": None, "running": 0, "waiting": 0}
        if (health := self._gateway.health.experts.get(name)) is not None:
            why_not = self._gateway.health.why_not(name)
            told |= {"ready": why_not is None, "why_not": why_not}
            told |= {"running": health.running, "waiting": health.waiting}
        outcomes = sums.by("moegate_requests_total", "outcome", expert=name)
        ok, cancelled = outcomes.get("ok", 0), outcomes.get("cancelled", 0)
        tokens = sums.by("moegate_tokens_total", "kind", expert=name)
        told |= {
            "ok": round(ok),
            "cancelled": round(cancelled),
            "failed": round(sum(outcomes.values()) - ok - cancelled),
            "tokens": round(tokens.get("completion", 0)),
            "ttft": sums.buckets(_TTFT, expert=name),
        }
        return told | {field: round(sums.total(metric, expert=name), 9) for metric, field in _OF_EXPERTS.items()}


class Sums:
    """A page's samples, added up over the labels that are not asked for."""

    def __init__(self, page: Page) -> None:
        self._samples: dict[str, list[Sample]] = defaultdict(list)
        for family in page.collect():
            for sample in family.samples:
                self._samples[sample.name].append(sample)

    def total(self, name: str, **where: str) -> float:
        """The sum of what has these labels."""
        return sum(sample.value for sample in self._having(name, where))

    def by(self, name: str, label: str, **where: str) -> dict[str, float]:
        """The sums by the values of a label."""
        sums: dict[str, float] = defaultdict(float)
        for sample in self._having(name, where):
            sums[sample.labels[label]] += sample.value
        return dict(sums)

    def labels(self, name: str) -> list[Mapping[str, str]]:
        """The labels of each sample of a gauge that is constant."""
        return [sample.labels for sample in self._samples[name]]

    def bounds(self, name: str) -> list[float]:
        """The upper bounds of a histogram's buckets, without the infinite one."""
        return sorted(
            {bound for sample in self._samples[name] if (bound := float(sample.labels["le"])) != float("inf")}
        )

    def buckets(self, name: str, **where: str) -> list[int]:
        """How many lie at or below each of the bounds, and in all."""
        counts = self.by(name, "le", **where)
        return [round(counts[bound]) for bound in sorted(counts, key=float)]

    def _having(self, name: str, where: Mapping[str, str]) -> list[Sample]:
        return [one for one in self._samples[name] if where.items() <= one.labels.items()]


def _errors(sums: Sums) -> dict[str, int]:
    """How often requests ended with each error."""
    outcomes = sums.by("moegate_requests_total", "outcome")
    return {code: round(count) for code, count in sorted(outcomes.items()) if count and code not in ("ok", "cancelled")}


def _money(sums: Sums) -> dict[str, Any]:
    """USD since the start."""
    return {
        "spent": sums.total("moegate_cost_usd_total"),
        "wasted": sums.total("moegate_wasted_cost_usd_total"),
        "idle": sums.total("moegate_idle_cost_usd_total"),
        "saved": sums.by("moegate_saved_usd", "baseline"),
    }


def _row(ended: Ended) -> dict[str, Any]:
    return {
        "at": round(ended.at, 3),
        "id": ended.id,
        "key": ended.key,
        "door": ended.door,
        "expert": ended.expert,
        "outcome": ended.outcome,
        "ttft_ms": round(ended.ttft_s * 1e3),
        "duration_ms": round(ended.duration_s * 1e3),
        "tokens": ended.tokens,
        "usd": round(ended.usd, 9),
    }
