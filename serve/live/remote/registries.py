"""The flywheel's registry in an object store: its mirror on this machine is brought up to date again and again.

What experts load and gateways follow is the mirror's folder, so nothing else knows where a registry is kept. Where the
store is away the last state that was brought stays.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from experts.flywheel.changes import Changes, RegistryError
from experts.flywheel.object_registry import ObjectRegistry
from experts.flywheel.registry import Registry
from serve.settings.flywheel import FlywheelSettings
from serve.telemetry.metrics.remote import RemoteMetrics

log = logging.getLogger("moegate.remote")

EXPERTS: Final = "registry"
ROUTER: Final = "router"
"""Folders of the flywheel's that hold registries: each expert's, and the router's own."""


def open_registry(settings: FlywheelSettings, name: str, kind: str = EXPERTS) -> Changes:
    """Open a registry where the settings say it is kept.

    Raises:
        RegistryError: it is in an object store that cannot be reached.
    """
    folder = settings.place / kind
    if settings.registry is None:
        return Registry(folder, name)
    return ObjectRegistry(f"{settings.registry.rstrip('/')}/{kind}", folder, name)


class RegistryMirror:
    """Keeps the folders what the store holds, for some experts and the router."""

    name = "registry"

    def __init__(self, settings: FlywheelSettings, experts: Sequence[str]) -> None:
        self._settings = settings
        self._wanted = [*((name, EXPERTS) for name in experts), (ROUTER, ROUTER)]
        self._open: dict[tuple[str, str], ObjectRegistry] = {}
        self._metrics: RemoteMetrics | None = None
        self._last_trouble = ""

    @property
    def folder(self) -> Path:
        """Where the mirrors are."""
        return self._settings.place

    def begin(self) -> None:
        """Bring everything once; where that fails, what was brought before stays in use."""
        try:
            self._bring()
        except (RegistryError, OSError) as error:
            self._tell(error)

    def show(self, metrics: RemoteMetrics) -> None:
        """Tell these metrics from now on."""
        self._metrics = metrics
        metrics.expect(self.name)

    async def run(self, interval_s: float) -> None:
        """Look again and again."""
        while True:
            await asyncio.sleep(interval_s)
            await self.look()

    async def look(self) -> None:
        """Look once, and bring what has changed."""
        try:
            changed = await asyncio.to_thread(self._bring)
        except (RegistryError, OSError) as error:
            self._tell(error)
            return
        self._last_trouble = ""
        if self._metrics is not None:
            self._metrics.confirmed(self.name, time.time())
            if changed:
                self._metrics.fetches.labels(self.name, "taken").inc()

    def _bring(self) -> bool:
        """Bring what has changed; say whether anything has.

        Raises:
            RegistryError: the store cannot be reached, or what it holds is damaged.
        """
        changed = False
        for name, kind in self._wanted:
            registry = self._open.get((name, kind))
            if registry is None:
                opened = open_registry(self._settings, name, kind)
                assert isinstance(opened, ObjectRegistry)  # nobody makes a mirror of a folder
                self._open[name, kind] = opened
                changed = changed or bool(opened.mirror.history())
            else:
                changed = registry.bring() or changed
        return changed

    def _tell(self, error: Exception) -> None:
        """Count it; log it once for as long as it stays the same."""
        if self._metrics is not None:
            self._metrics.fetches.labels(self.name, "unreachable").inc()
        if str(error) != self._last_trouble:
            self._last_trouble = str(error)
            log.warning("the last good copy stays", extra={"remote": self.name, "error": str(error)})
