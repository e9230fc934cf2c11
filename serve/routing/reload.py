"""Takes up a replaced router artefact while serving, and keeps the last good one if the new one cannot be used.

`serve.app` runs one beside the health monitor. A thread reads the file, and the event loop puts it to use, so that no
decision sees half of it.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping

from router.errors import ArtifactError
from serve.routing.kinds import ServingRouter
from serve.telemetry.metrics import Metrics

log = logging.getLogger("moegate.router")


class RouterReloader:
    """Checks the artefact's file at intervals, until stopped; `on_reload` gets a new one's training mix."""

    def __init__(
        self,
        router: ServingRouter,
        metrics: Metrics,
        interval_s: float,
        *,
        on_reload: Callable[[Mapping[str, float]], None] | None = None,
    ) -> None:
        self._router = router
        self._metrics = metrics
        self._interval_s = interval_s
        self._on_reload = on_reload

    async def run(self) -> None:
        """Check the file again and again."""
        while True:
            await asyncio.sleep(self._interval_s)
            await self.look()

    async def look(self) -> None:
        """Check the file once."""
        try:
            artifact = await asyncio.to_thread(self._router.changed_artifact)
            if artifact is None:
                return
            self._router.take_up(artifact)
        except ArtifactError as error:
            self._metrics.routing.reloads.labels("refused").inc()
            log.warning("router artefact refused", extra={"error": str(error), "router": self._router.version})
        else:
            self._metrics.routing.reloads.labels("taken").inc()
            self._metrics.process.build(self._router.version)
            if self._on_reload is not None:
                self._on_reload(self._router.training_mix)
            log.info("router replaced", extra={"router": self._router.version})
