"""Answers a request that has been answered before, without routing it or asking an expert.

The same means: the same key's tenant, words, tools, form, settings of sampling (temperature 0, or a seed), model and
preferences, as the steps before have prepared them, and the same router, catalogue and experts' weights. An answer that
broke off, or that breaks the strict form it was to have, is not kept. Steps outside this one see a kept answer like any
other: what a guard forbids today leaves no cache of yesterday.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

from serve.request import ChatRequest
from serve.settings.cache import CacheSettings
from serve.steps.cache.kept_answer import KeptAnswer, Recalled, Recording
from serve.steps.cache.key import cache_key
from serve.steps.cache.store import CacheStore, CacheUnavailable
from serve.steps.step import Onward, Source, Step
from serve.telemetry.metrics.cache import CacheMetrics
from serve.telemetry.record import RequestRecord

NAME: Final = "cache"


class CacheStep(Step):
    """The cache. A store that fails is no reason to refuse anybody: an expert is asked."""

    def __init__(
        self, store: CacheStore, settings: CacheSettings, metrics: CacheMetrics, identity: Callable[[], bytes]
    ) -> None:
        """`identity` tells who would answer now: the router's artefact, the catalogue and the experts' weights."""
        self._store = store
        self._max_bytes = settings.max_answer_bytes
        self._requests = metrics.requests
        self._identity = identity

    def answer(
        self, request: ChatRequest, record: RequestRecord, onward: Onward
    ) -> AbstractAsyncContextManager[Source]:
        """Recall the answer, or let it be made and keep it; a request that may be answered differently passes by."""
        key = cache_key(request, self._identity())
        return onward(request) if key is None else self._recalled_or_made(key, request, record, onward)

    async def run(self) -> None:
        """Let go of the store at the end."""
        try:
            await asyncio.Event().wait()
        finally:
            await self._store.close()

    @asynccontextmanager
    async def _recalled_or_made(
        self, key: bytes, request: ChatRequest, record: RequestRecord, onward: Onward
    ) -> AsyncIterator[Source]:
        kept, outcome = await self._look_up(key)
        self._requests.labels(outcome).inc()
        record.note(NAME, outcome)
        if kept is not None:
            record.recalled(kept.decision, kept.completion)
            yield Recalled(kept)
            return
        async with onward(request) as source:
            recording = Recording(source, self._max_bytes)
            yield recording
        await self._keep(key, recording.kept)

    async def _look_up(self, key: bytes) -> tuple[KeptAnswer | None, str]:
        try:
            raw = await self._store.get(key)
        except CacheUnavailable:
            return None, "failed"
        return (None, "miss") if raw is None else (KeptAnswer.unpack(raw), "hit")

    async def _keep(self, key: bytes, kept: KeptAnswer | None) -> None:
        if kept is None:
            return
        try:
            await self._store.put(key, kept.pack())
        except CacheUnavailable:
            self._requests.labels("failed").inc()
